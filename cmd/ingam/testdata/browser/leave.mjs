// How the browser leaves the pages for an application.
import { allow, assert, at, authorization, enter, isOut, logout, person, signIn } from './steps.mjs'

const hop = (client) => authorization({ client_id: client, redirect_uri: at.hop + '/callback' })

// landed waits until the browser is where the application's address has led it, and answers what arrived there.
async function landed(page) {
  return new URLSearchParams(await page.locator('#there').innerText())
}

export const scenarios = {
  // CSP Level 3 §6.4.1: form-action holds for the redirects of the application as well.
  'an application whose addresses lead on to another origin is used like any other, with a script and without': async (watch) => {
    for (const javaScriptEnabled of [true, false]) {
      for (const client of ['hop', 'hop-own']) {
        const [page, who] = [await watch.page({ javaScriptEnabled }), person()]
        await page.goto(hop(client))
        await signIn(page, who)
        if (client === 'hop') await allow(page).click()
        const answer = await landed(page)
        assert.equal(answer.get('path'), '/callback')
        assert.match(answer.get('code'), /^ac_/)
        assert.equal(answer.get('state'), 'a-state')
        assert.equal(answer.get('referer'), '', 'the application is not told where the browser was')
        await page.goto(at.issuer + '/oauth2/logout?' + new URLSearchParams({
          client_id: client, post_logout_redirect_uri: at.hop + '/bye', state: `"';url=x,y`,
        }))
        await logout(page).click()
        const bye = await landed(page)
        assert.equal(bye.get('path'), '/bye')
        assert.equal(bye.get('state'), `"';url=x,y`)
        assert.equal(bye.get('referer'), '')
      }
    }
  },

  // OIDC Front-Channel Logout §3, WCAG 2.2, 2.2.1
  'signing out waits for the applications in frames, not forever, and without a script for the person': async (watch) => {
    for (const [javaScriptEnabled, answers] of [[true, true], [true, false], [false, true]]) {
      const [page, who] = [await watch.page({ javaScriptEnabled }), person()]
      await enter(page, who)
      let release
      const released = new Promise((done) => { release = done })
      await page.route(at.web + '/frontchannel-logout?**', async (route) => {
        await released
        await route.continue().catch(() => {}) // the page has gone on
      })
      const wants = { client_id: 'demo-web', post_logout_redirect_uri: at.web + '/', state: 'a-state' }
      await page.goto(at.issuer + '/oauth2/logout?' + new URLSearchParams(wants))
      await Promise.all([page.waitForRequest(at.web + '/frontchannel-logout?**'), logout(page).click({ noWaitAfter: true })])
      const link = page.locator('a[data-go-on]')
      await link.waitFor()
      assert.equal(await page.locator('meta[http-equiv]').count(), 0)
      if (answers) release()
      if (!javaScriptEnabled) await link.click()
      await page.waitForURL(at.web + '/?state=a-state')
      await isOut(page)
      release()
    }
  },

  'the back button after a form leads out again': async (watch) => {
    for (const javaScriptEnabled of [true, false]) {
      const [page, who] = [await watch.page({ javaScriptEnabled }), person()]
      await page.goto(at.web) // where the person was before
      await page.goto(hop('hop'))
      await signIn(page, who)
      await allow(page).click()
      await landed(page)
      const posts = []
      page.on('request', (r) => r.method() === 'POST' && r.isNavigationRequest() && posts.push(r.url()))
      // The addresses of the sign-in lead on by themselves, each once: no page of it stays in the history.
      for (let i = 0; i < 2; i++) {
        await page.goBack({ waitUntil: 'commit' })
        await landed(page)
      }
      await page.goBack()
      assert.equal(page.url(), at.web + '/')
      assert.deepEqual(posts, [])
    }
  },

  'an application whose host has an underscore gets its answer': async (watch) => {
    for (const response_mode of ['query', 'form_post']) {
      const [page, who] = [await watch.page(), person()]
      let answer
      await page.route('https://my_app.example.test/**', (route) => {
        answer = new URLSearchParams(route.request().postData() ?? new URL(route.request().url()).search)
        return route.fulfill({
          contentType: 'text/html', body: '<!doctype html><title>x</title><link rel="icon" href="data:,"><p id="there">there</p>',
        })
      })
      await page.goto(authorization({ client_id: 'underscore', redirect_uri: 'https://my_app.example.test/callback', response_mode }))
      await signIn(page, who)
      await allow(page).click()
      await landed(page)
      assert.match(answer.get('code'), /^ac_/)
    }
  },
}
