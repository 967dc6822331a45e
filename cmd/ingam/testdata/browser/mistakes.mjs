// What goes wrong at a sign-in.
import {
  allow, asksForPassword, assert, at, authorization, enter, fillIn, isIn, logout, password, person, signIn, submit, username,
} from './steps.mjs'

// guess sends a wrong password and answers the status of the page.
async function guess(page, who) {
  await fillIn(page, who, 'not the password')
  const [answer] = await Promise.all([
    page.waitForResponse((r) => r.request().isNavigationRequest() && r.request().method() === 'POST'),
    submit(page).click(),
  ])
  await page.waitForLoadState()
  return answer
}

// pressTwice presses a button again while the request to that path of the issuer is held: an answer that takes a while is
// what makes people press twice. twice tells whether there is a second request. (A double click is one submission to
// Chromium.)
async function pressTwice(page, button, path, twice) {
  let release
  const released = new Promise((done) => { release = done })
  const there = (url) => url.pathname === path && url.origin === at.issuer
  await page.route(there, async (route) => {
    await released
    await route.continue().catch(() => {}) // of two the browser has given the first up
  })
  const sent = () => page.waitForRequest((r) => r.method() === 'POST' && there(new URL(r.url())))
  const box = await button.boundingBox()
  const press = () => page.mouse.click(box.x + box.width / 2, box.y + box.height / 2)
  await Promise.all([sent(), press()])
  await (twice ? Promise.all([sent(), press()]) : press())
  if (!twice) await page.waitForTimeout(150) // one that should not be
  release()
}

export const scenarios = {
  'a wrong password: a message, the username is kept, the password is not': async (watch) => {
    watch.expectStatus(401)
    const [page, who] = [await watch.page(), person()]
    await page.goto(authorization())
    const title = await page.title()
    assert.equal((await guess(page, who)).status(), 401)
    assert.notEqual(await page.title(), '')
    assert.equal(await username(page).inputValue(), who.username)
    assert.equal(await password(page).inputValue(), '')
    const alert = page.locator('[role=alert]')
    assert.ok((await alert.innerText()).length > 10)
    assert.ok(await alert.evaluate((e) => e.contains(document.activeElement) || e === document.activeElement),
      'the message has the focus')
    assert.ok(!page.url().includes('not+the+password') && !(await page.content()).includes('not the password'))
    // The same page for a user that there is not.
    const said = await alert.innerText()
    await guess(page, { username: 'nobody-at-all' })
    assert.equal(await page.locator('[role=alert]').innerText(), said)
    assert.notEqual(title, '')
    await signIn(page, who)
    await allow(page).waitFor()
  },

  'too many guesses: the page says how long to wait, and asks nothing but patience': async (watch) => {
    watch.expectStatus(401)
    watch.expectStatus(429)
    const page = await watch.page()
    await page.goto(authorization())
    let answer
    for (let i = 0; i < 12 && answer?.status() !== 429; i++) answer = await guess(page, { username: 'mallory' })
    assert.equal(answer.status(), 429)
    assert.match((await answer.allHeaders())['retry-after'], /^[1-9]\d*$/)
    assert.match(await page.locator('[role=alert]').innerText(), /\b\d+ (seconds|minutes)|a (second|minute)/)
    assert.equal(await username(page).inputValue(), 'mallory')
    assert.equal(await password(page).inputValue(), '')
    // Nobody else has to wait.
    await signIn(page, person())
    await allow(page).waitFor()
  },

  'a button pressed twice signs in once and consents once': async (watch) => {
    for (const javaScriptEnabled of [true, false]) {
      const [page, who] = [await watch.page({ javaScriptEnabled }), person()]
      const posts = []
      page.on('request', (r) => r.method() === 'POST' && r.isNavigationRequest() && posts.push(new URL(r.url()).pathname))
      await page.goto(at.web)
      await page.locator('#login').click()
      await fillIn(page, who)
      await pressTwice(page, submit(page), '/login', !javaScriptEnabled)
      await allow(page).waitFor()
      await pressTwice(page, allow(page), '/consent', !javaScriptEnabled)
      await isIn(page, who)
      assert.deepEqual(posts, javaScriptEnabled ? ['/login', '/consent'] : ['/login', '/login', '/consent', '/consent'])
    }
  },

  'a form that was sent arrives once more: nothing is decided by it': async (watch) => {
    const page = await watch.page()
    const sent = []
    page.on('request', (r) => r.method() === 'POST' && sent.push({ url: r.url(), body: r.postData() }))
    await page.goto(authorization({ prompt: 'consent' }))
    await signIn(page, person())
    const [back] = await Promise.all([page.waitForRequest((r) => r.url().startsWith(at.web + '/callback')), allow(page).click()])
    const first = new URL(back.url()).searchParams.get('code')
    assert.ok(first)
    watch.expectStatus(400) // the application has not begun this sign-in
    const consent = sent.find((r) => r.url === at.issuer + '/consent')
    const again = await page.context().request.post(consent.url, {
      data: consent.body, maxRedirects: 0, headers: { 'Content-Type': 'application/x-www-form-urlencoded', Origin: at.issuer },
    })
    assert.equal(again.status(), 303)
    assert.ok(!again.headers().location.includes('code='), again.headers().location)
  },

  'the back button after a sign-in leads to the application and repeats nothing': async (watch) => {
    const [page, who] = [await watch.page(), person()]
    await enter(page, who)
    const posts = []
    page.on('request', (r) => r.method() === 'POST' && r.isNavigationRequest() && posts.push(r.url()))
    for (let i = 0; i < 4; i++) {
      // The way back leads through addresses that lead on by themselves, to the application or out of the history.
      await page.goBack({ waitUntil: 'commit' })
      if (page.url() === 'about:blank') break
      await page.waitForURL(at.web + '/**')
      await isIn(page, who)
    }
    assert.deepEqual(posts, [])
    await page.goto(at.web)
    await isIn(page, who)
  },

  'the back button after signing out shows nothing of the person': async (watch) => {
    const [page, who] = [await watch.page(), person()]
    await page.goto(at.issuer + '/account')
    await signIn(page, who)
    await page.getByText(who.name).first().waitFor()
    await page.goto(at.issuer + '/logout')
    await logout(page).click()
    await logout(page).waitFor({ state: 'detached' })
    for (let i = 0; i < 3; i++) {
      await page.goBack({ waitUntil: 'load' }).catch(() => {})
      if (!page.url().startsWith(at.issuer)) break
      assert.ok(!(await page.locator('body').innerText()).includes(who.name), `${page.url()} still shows the person`)
    }
    await page.goto(at.issuer + '/account')
    await asksForPassword(page)
  },

  'an application that takes its answers by POST gets them, with a script and without': async (watch) => {
    for (const javaScriptEnabled of [true, false]) {
      const [page, who] = [await watch.page({ javaScriptEnabled }), person()]
      let answer
      await page.route(at.web + '/takes-posts', (route) => {
        answer = { method: route.request().method(), form: new URLSearchParams(route.request().postData()) }
        return route.fulfill({ contentType: 'text/html', body: '<!doctype html><title>x</title><p id="there">there</p>' })
      })
      await page.goto(authorization({ client_id: 'poster', redirect_uri: at.web + '/takes-posts', response_mode: 'form_post' }))
      await signIn(page, who)
      await allow(page).click()
      if (!javaScriptEnabled) await page.locator('form[data-auto-submit] button').click()
      await page.locator('#there').waitFor()
      assert.equal(answer.method, 'POST')
      assert.match(answer.form.get('code'), /^ac_/)
      assert.equal(answer.form.get('state'), 'a-state')
      assert.equal(answer.form.get('iss'), at.issuer)
      assert.ok(!page.url().includes('code'), 'the code is in no address')
    }
  },

  'a page with an inline script is noticed by these tests': async (watch) => {
    const page = await watch.page()
    await page.route(authorization(), async (route) => {
      const answer = await route.fetch()
      await route.fulfill({ response: answer, body: (await answer.text()).replace('</body>', '<script>window.ran = 1</script></body>') })
    })
    await page.goto(authorization())
    assert.equal(await page.evaluate(() => window.ran), undefined)
    const found = watch.complaints.splice(0)
    assert.ok(found.some((c) => c.kind === 'violation' && c.text.includes('script-src')), JSON.stringify(found))
    assert.ok(found.some((c) => c.kind === 'console'))
    watch.counts.violations--
  },
}
