// One login for many applications.
import { allow, asksForPassword, assert, at, authorization, deny, enter, isIn, isOut, person, signIn, submit } from './steps.mjs'

// toTheApp is the whole way; it needs nothing but links and forms.
async function toTheApp(page, who) {
  await page.goto(at.web)
  await isOut(page)
  await page.locator('#login').click()
  await asksForPassword(page)
  await signIn(page, who)
  await allow(page).waitFor()
  const consent = await page.locator('main').innerText()
  for (const said of ['Demo web application', who.name, new URL(at.web).host]) {
    assert.ok(consent.includes(said), `the consent page does not say ${said}:\n${consent}`)
  }
  await allow(page).click()
  await isIn(page, who)
  assert.equal(page.url(), at.web + '/', 'nothing of the sign-in stays in the address')
}

async function logoutEndsBoth(watch, from) {
  const context = await watch.context()
  const who = person()
  const [web, spa] = [await context.newPage(), await context.newPage()]
  await enter(web, who)
  await spa.goto(at.spa)
  await isIn(spa, who)
  const [here, there] = from === 'web' ? [web, spa] : [spa, web]
  await here.locator('#logout').click()
  await here.locator('#notice', { hasText: 'You are signed out.' }).waitFor()
  await isOut(here)
  if (there === spa) {
    // The page has its tokens still, and finds out that they are worth nothing, the refresh token included.
    watch.expectStatus(401, 400)
    await spa.locator('#call').click()
    await spa.locator('#notice', { hasText: 'Your sign-in has ended.' }).waitFor()
  }
  await there.reload()
  await isOut(there)
  await web.locator('#login').click()
  await asksForPassword(web)
}

export const scenarios = {
  'a person signs in at an application, consents, and sees their name and the secure data': async (watch) => {
    const page = await watch.page()
    await toTheApp(page, person())
    const cookies = await page.context().cookies(at.issuer)
    for (const c of cookies) assert.ok(c.httpOnly && c.sameSite === 'Lax', `cookie ${c.name}`)
    const kept = await page.evaluate(() => ({ ...localStorage, ...sessionStorage }))
    assert.deepEqual(kept, {})
  },

  'without JavaScript all of it works': async (watch) => {
    const page = await watch.page({ javaScriptEnabled: false })
    await toTheApp(page, person())
    await page.locator('#logout').click()
    await page.locator('a[data-go-on]').click()
    await page.locator('#notice', { hasText: 'You are signed out.' }).waitFor()
    await isOut(page)
    await page.goto(at.issuer + '/account')
    await asksForPassword(page)
  },

  'who is signed in at one application is signed in at the other without a question': async (watch) => {
    const context = await watch.context()
    const who = person()
    await enter(await context.newPage(), who)
    const page = await context.newPage()
    const seen = []
    page.on('framenavigated', (frame) => seen.push(frame.url()))
    const forms = []
    page.on('request', (request) => request.method() === 'POST' && request.isNavigationRequest() && forms.push(request.url()))
    await page.goto(at.spa)
    await isIn(page, who)
    assert.deepEqual(forms, [], 'nobody has filled in anything')
    assert.ok(seen.every((url) => url.startsWith(at.spa)), `the person has seen ${seen}`)
    assert.deepEqual(await page.evaluate(() => Object.keys(localStorage)), [], 'tokens stay in memory')
  },

  'signing out of the first application ends both': (watch) => logoutEndsBoth(watch, 'web'),
  'signing out of the second application ends both': (watch) => logoutEndsBoth(watch, 'spa'),

  'who denies consent comes back to the application, which says so, and is asked again': async (watch) => {
    const [page, who] = [await watch.page(), person()]
    await page.goto(at.web)
    await page.locator('#login').click()
    await signIn(page, who)
    await deny(page).click()
    await page.locator('#problem', { hasText: 'access_denied' }).waitFor()
    assert.ok(page.url().startsWith(at.web + '/'))
    await page.goto(at.web + '/login')
    await allow(page).click()
    await isIn(page, who)
    await page.goto(at.web + '/login') // remembered
    await isIn(page, who)
    assert.equal(await submit(page).count(), 0)
  },

  'an application that signs people in in a popup hears from it': async (watch) => {
    watch.expectStatus(400) // the demo application has not begun this one; where the popup ends is enough
    const page = await watch.page()
    await page.goto(at.web)
    const [popup] = await Promise.all([
      page.waitForEvent('popup'),
      page.evaluate((url) => { window.popup = window.open(url, 'popup', 'popup') }, authorization()),
    ])
    await signIn(popup, person())
    await allow(popup).click()
    await popup.waitForURL(at.web + '/callback?**')
    assert.ok(await popup.evaluate(() => window.opener !== null), 'the popup has lost the page that opened it')
    assert.equal(await page.evaluate(() => window.popup.closed), false)
    // The pages of the person's own are nobody's popup.
    await popup.goto(at.issuer + '/account')
    await popup.locator('form[action$="/account/password"]').waitFor()
    assert.ok(await popup.evaluate(() => window.opener === null), 'the account page can be held by who opened it')
  },

  'two tabs that refresh at once both go on': async (watch) => {
    const context = await watch.context()
    const who = person()
    await enter(await context.newPage(), who)
    const tabs = [await context.newPage(), await context.newPage()]
    const answers = tabs.map(() => [])
    tabs.forEach((tab, i) => tab.on('response', async (r) => {
      if (r.url() === at.issuer + '/oauth2/token' && r.request().method() === 'POST') answers[i].push(await r.json())
    }))
    for (const tab of tabs) {
      await tab.goto(at.spa)
      await isIn(tab, who)
    }
    for (let round = 0; round < 3; round++) {
      await Promise.all(tabs.map((tab) => tab.locator('#refresh').click()))
      await Promise.all(tabs.map((tab) => tab.locator('#notice', { hasText: 'The page has new tokens.' }).waitFor()))
      await Promise.all(tabs.map((tab) => tab.locator('#main:not([aria-busy])').waitFor()))
    }
    await Promise.all(tabs.map((tab) => isIn(tab, who)))
    // Applications that share one refresh token between tabs have no lock: both get the same successor, and go on.
    const shared = answers[0].at(-1).refresh_token
    assert.ok(shared, 'the application has a refresh token')
    const refresh = ([url, refresh_token]) => fetch(url, {
      method: 'POST', body: new URLSearchParams({ grant_type: 'refresh_token', client_id: 'demo-spa', refresh_token }),
    }).then(async (r) => ({ status: r.status, ...await r.json() }))
    const both = await Promise.all(tabs.map((tab) => tab.evaluate(refresh, [at.issuer + '/oauth2/token', shared])))
    assert.deepEqual(both.map((b) => b.error ?? b.status), [200, 200])
    assert.equal(both[0].refresh_token, both[1].refresh_token)
    const next = await tabs[1].evaluate(refresh, [at.issuer + '/oauth2/token', both[0].refresh_token])
    assert.equal(next.status, 200)
  },
}
