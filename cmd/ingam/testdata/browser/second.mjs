// The application that lives in the browser.
import { assert, at, isIn, isOut, person, signIn } from './steps.mjs'

export const scenarios = {
  // RFC 9700 §4.7: the answer that the way back brings is not looked at, and who is signed in stays so.
  'the back button after a sign-in at the second application keeps the person signed in': async (watch) => {
    const [page, who] = [await watch.page(), person()]
    await page.goto(at.spa)
    await isOut(page)
    await page.locator('#login').click()
    await signIn(page, who)
    await isIn(page, who)
    const asked = []
    page.on('request', (r) => r.url().startsWith(at.issuer + '/oauth2/auth?') && asked.push(new URL(r.url()).searchParams.get('prompt')))
    await page.goBack({ waitUntil: 'commit' })
    await page.waitForURL(at.spa + '/')
    await isIn(page, who)
    assert.equal(await page.locator('#problem').innerText(), '')
    assert.deepEqual(asked, [null, 'none'], 'the way back, and one question of its own')
  },

  'an answer that no tab has asked for signs nobody in at the second application': async (watch) => {
    const page = await watch.page()
    const used = []
    page.on('request', (r) => r.url() === at.issuer + '/oauth2/token' && used.push(r.postData()))
    for (const query of ['?code=ac_somebody&state=s', '?error=access_denied&state=s', '']) {
      await page.goto(at.spa + '/callback' + query)
      await isOut(page)
      assert.equal(page.url(), at.spa + '/')
      assert.equal(await page.locator('#problem').innerText(), '')
    }
    assert.deepEqual(used, [])
  },

  'without JavaScript the second application says that it needs it and asks nobody to wait': async (watch) => {
    const page = await watch.page({ javaScriptEnabled: false })
    await page.goto(at.spa)
    assert.match(await page.locator('main').innerText(), /needs JavaScript/)
    assert.equal(await page.locator('#notice').innerText(), '')
    assert.equal(await page.locator('[aria-busy]').count(), 0)
  },
}
