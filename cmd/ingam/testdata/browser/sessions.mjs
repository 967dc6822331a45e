// How a browser session ends, other than by signing out.
import { allow, asksForPassword, assert, at, enter, isIn, isOut, logout, password, person, signIn } from './steps.mjs'

// at.short has a certificate of its own making.
const anyCertificate = { ignoreHTTPSErrors: true }
const carol = { username: 'carol', password: 'correct horse battery staple' }

export const scenarios = {
  'with https the cookies are of this host alone, and every address is below the path of the issuer': async (watch) => {
    const page = await watch.page(anyCertificate)
    const asked = []
    page.on('request', (r) => asked.push(r.url()))
    const answer = await page.goto(at.short + '/account')
    assert.match((await answer.allHeaders())['strict-transport-security'], /max-age=\d{7}/)
    await signIn(page, carol)
    await page.getByText('carol').first().waitFor()
    for (const c of await page.context().cookies()) {
      assert.ok(c.name.startsWith('__Host-') && c.secure && c.httpOnly && c.path === '/' && c.sameSite === 'Lax', JSON.stringify(c))
      assert.equal(c.expires, -1, `${c.name} ends with the browser`)
    }
    await page.locator('form[action$="/language"] button').first().click()
    await page.locator('html[lang=ko]').waitFor()
    await page.locator('a[href$="/logout"]').click()
    await logout(page).click()
    await logout(page).waitFor({ state: 'detached' })
    await page.locator('main a').click()
    await password(page).waitFor()
    await page.locator('input[name=remember]').check()
    await signIn(page, carol)
    await page.getByText('carol').first().waitFor()
    const kept = (await page.context().cookies()).find((c) => c.name === '__Host-ingam')
    assert.ok(kept.expires > Date.now() / 1000 + 30 * 86400, 'who wants to stay signed in does')
    const astray = asked.filter((url) => !url.startsWith(at.short + '/'))
    assert.deepEqual(astray, [])
  },

  'a session that nobody uses ends, and its pages ask for the password again': async (watch) => {
    const page = await watch.page(anyCertificate)
    await page.goto(at.short + '/account')
    await signIn(page, carol)
    await page.getByText('carol').first().waitFor()
    for (let i = 0; i < 2; i++) { // session.idle is 20 s there: whoever uses the session keeps it
      await page.waitForTimeout(11_000)
      await page.reload()
      assert.equal(await password(page).count(), 0, 'the session lives')
    }
    await page.waitForTimeout(21_000)
    await page.reload()
    await password(page).waitFor()
    assert.ok(!(await page.content()).includes('carol'))
  },

  'a browser that has lost its cookie signs in again': async (watch) => {
    const context = await watch.context()
    const who = person()
    await enter(await context.newPage(), who)
    await context.clearCookies({ name: 'ingam' })
    const page = await context.newPage()
    await page.goto(at.spa)
    await isOut(page)
    await page.locator('#login').click()
    await asksForPassword(page)
    await signIn(page, who)
    await isIn(page, who)
  },

  'a session that was ended from another browser is over at once, applications included': async (watch) => {
    const [one, other, who] = [await watch.page(), await watch.page(), person()]
    await enter(one, who)
    await other.goto(at.issuer + '/account')
    await signIn(other, who)
    await other.locator('form[action$="/account/sessions/end-others"] button').click()
    await other.waitForLoadState()
    await one.goto(at.issuer + '/account')
    await asksForPassword(one)
    // The application hears of it by the back channel.
    for (let i = 0; i < 300; i++) {
      await one.goto(at.web)
      if (await one.locator('#signed-out').count()) break
      await one.waitForTimeout(100)
    }
    await isOut(one)
    await other.goto(at.issuer + '/account')
    await other.getByText(who.name).first().waitFor()
  },

  'a new password ends the sessions of other browsers and keeps this one': async (watch) => {
    const [one, other, who] = [await watch.page(), await watch.page(), person()]
    await enter(one, who)
    await other.goto(at.issuer + '/account')
    await signIn(other, who)
    const change = async (current, fresh) => {
      await other.locator('#current').fill(current)
      await other.locator('#new').fill(fresh)
      await other.locator('#repeat').fill(fresh)
      await other.locator('form[action$="/account/password"] button:not([type=button])').click()
    }
    watch.expectStatus(400)
    await change('not the password', 'a few unrelated words')
    await other.locator('[role=alert]:focus').waitFor()
    for (const id of ['#current', '#new', '#repeat']) assert.equal(await other.locator(id).inputValue(), '')
    await change(who.password, 'a few unrelated words')
    await other.locator('[role=status]', { hasText: 'Your password is changed.' }).waitFor()
    await one.goto(at.issuer + '/account')
    await asksForPassword(one)
    await one.goto(at.web)
    await isOut(one)
    await one.locator('#login').click()
    watch.expectStatus(401)
    await signIn(one, who)
    await one.locator('[role=alert]').waitFor()
    await signIn(one, { ...who, password: 'a few unrelated words' })
    await isIn(one, who)
  },

  'two people at two browsers do not meet': async (watch) => {
    const [hers, his, she, he] = [await watch.page(), await watch.page(), person(), person()]
    await enter(hers, she)
    await enter(his, he)
    await hers.reload()
    await isIn(hers, she)
    await hers.locator('#logout').click()
    await isOut(hers)
    await his.reload()
    await isIn(his, he)
  },

  'an application that was taken back asks again': async (watch) => {
    const [page, who] = [await watch.page(), person()]
    await enter(page, who)
    await page.goto(at.issuer + '/account')
    const app = page.locator('form[action$="/account/apps/remove"]').first()
    await app.locator('button').click()
    await page.waitForLoadState()
    assert.equal(await page.locator('form[action$="/account/apps/remove"]').count(), 0)
    await page.goto(at.web)
    await isOut(page)
    await page.locator('#login').click()
    await allow(page).click()
    await isIn(page, who)
  },
}
