// Pages for everybody: by keyboard, in Korean, on a small screen, in the dark, read aloud.
import { readFile } from 'node:fs/promises'
import { allow, assert, at, authorization, isIn, person, signIn, submit } from './steps.mjs'
import { appPages, pages, walk } from './pages.mjs'

const axe = await readFile(new URL('node_modules/axe-core/axe.min.js', import.meta.url), 'utf8')
const rules = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']

// examine asks axe about a page and answers what is wrong with it.
async function examine(page) {
  const result = await page.evaluate((tags) => window.axe.run(document, { runOnly: tags }), rules)
  assert.ok(result.passes.length > 10, 'axe has looked at nothing')
  return [...result.violations, ...result.incomplete.filter((i) => i.id === 'color-contrast')].flatMap((v) => v.nodes.map((node) =>
    `${v.id}: ${v.help} at ${node.target.join(' ')}: ${node.failureSummary ?? ''} ${node.html}`))
}

function accessible(colorScheme) {
  return async (watch) => {
    watch.expectStatus(401)
    watch.expectStatus(400)
    const context = await watch.context({ colorScheme })
    await context.addInitScript(axe) // a script of the browser's own: the policy of the page does not hold it back
    const found = []
    let seen = 0
    await walk(context, { ...pages, ...appPages }, async (name, page) => {
      seen++
      assert.equal(await page.evaluate(() => matchMedia('(prefers-color-scheme: dark)').matches), colorScheme === 'dark')
      for (const problem of await examine(page)) found.push(`${name}: ${problem}`)
    })
    assert.equal(seen, Object.keys({ ...pages, ...appPages }).length)
    assert.deepEqual(found, [], found.join('\n'))
  }
}

// outline answers how the element with the focus shows that it has it.
const outline = (page) => page.evaluate(() => {
  const e = document.activeElement
  const style = getComputedStyle(e)
  const box = e.getBoundingClientRect()
  return {
    tag: e.tagName, name: e.name ?? '', text: e.textContent.trim().slice(0, 40), style: style.outlineStyle,
    width: parseFloat(style.outlineWidth), shown: box.width > 0 && box.height > 0,
  }
})

// tabTo presses Tab until the element has the focus; at each step the focus can be seen.
async function tabTo(page, target) {
  for (let i = 0; i < 25; i++) {
    if (await target.evaluate((e) => e === document.activeElement)) return
    await page.keyboard.press('Tab')
    const now = await outline(page)
    if (now.tag === 'BODY') continue
    assert.ok(now.shown && now.style !== 'none' && now.width >= 2, `the focus cannot be seen: ${JSON.stringify(now)}`)
  }
  assert.fail('Tab does not lead there')
}

// noSideways fails if a page is wider than its window.
async function noSideways(name, page) {
  const [need, have] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth])
  assert.ok(need <= have, `${name} is ${need} pixels wide in a window of ${have}`)
}

// readable answers all text that a page shows or reads aloud.
const readable = (page) => page.evaluate(() => {
  const said = [document.title]
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  for (let t = texts.nextNode(); t; t = texts.nextNode()) {
    if (!t.parentElement.closest('script, [hidden], [lang]:not(html):not([lang=ko]), code')) said.push(t.data.trim())
  }
  for (const e of document.querySelectorAll('[aria-label], [title], [placeholder], [alt], [data-hide-text]')) {
    for (const a of ['aria-label', 'title', 'placeholder', 'alt', 'data-hide-text']) said.push(e.getAttribute(a) ?? '')
  }
  return said.filter((text) => text !== '')
})

// names are what stays as it is in every language.
const names = ['Ingam', 'Demo web application', 'Demo single-page application', 'Alice Liddell', 'alice@example.test', 'alice',
  'Chrome', 'Chromium', 'Linux', 'notes.read', 'localhost', 'ID']

async function isKorean(name, page) {
  assert.equal(await page.locator('html').getAttribute('lang'), 'ko', name)
  const said = await readable(page)
  assert.match(said.join(' '), /[가-힣]/, name)
  for (const text of said) {
    const rest = names.reduce((left, known) => left.replaceAll(known, ''), text)
    assert.ok(!/[A-Za-z]{2,}/.test(rest), `${name} says in English: ${text}`)
  }
}

export const scenarios = {
  'axe finds nothing on any page in light colours': accessible('light'),
  'axe finds nothing on any page in dark colours': accessible('dark'),

  'by keyboard alone: from the application to the name': async (watch) => {
    watch.expectStatus(401)
    const [page, who] = [await watch.page(), person()]
    await page.goto(at.web)
    await tabTo(page, page.locator('#login'))
    await page.keyboard.press('Enter')
    await page.waitForURL(at.issuer + '/**')
    await page.locator('input[name=username]:focus').waitFor() // nothing to press before typing
    await page.keyboard.type(who.username)
    await tabTo(page, page.locator('input[name=password]'))
    await page.keyboard.type('not the password')
    await page.keyboard.press('Enter')
    await page.locator('[role=alert]:focus').waitFor() // what went wrong comes first
    await tabTo(page, page.locator('input[name=password]'))
    await page.keyboard.type(who.password)
    await tabTo(page, page.locator('input[name=remember]'))
    await page.keyboard.press('Space')
    assert.ok(await page.locator('input[name=remember]').isChecked())
    await tabTo(page, submit(page))
    await page.keyboard.press('Enter')
    await allow(page).waitFor()
    await tabTo(page, allow(page))
    await page.keyboard.press('Enter')
    await isIn(page, who)
    await tabTo(page, page.locator('#logout'))
    await page.keyboard.press('Enter')
    await page.locator('#notice', { hasText: 'You are signed out.' }).waitFor()
  },

  'a password can be looked at, pasted and filled in by a password manager': async (watch) => {
    const page = await watch.page()
    await page.goto(authorization())
    const field = page.locator('#password')
    const show = page.locator('button[data-show=password]')
    await field.fill('wonderland')
    await show.click()
    assert.equal(await field.getAttribute('type'), 'text')
    assert.equal(await show.getAttribute('aria-pressed'), 'true')
    await show.click()
    assert.equal(await field.getAttribute('type'), 'password')
    assert.equal(await field.getAttribute('autocomplete'), 'current-password')
    assert.equal(await page.locator('#username').getAttribute('autocomplete'), 'username')
    await field.fill('')
    await page.locator('#username').fill('wonderland')
    await page.locator('#username').press('Control+a')
    await page.locator('#username').press('Control+c')
    await field.press('Control+v')
    assert.equal(await field.inputValue(), 'wonderland')
    // Without a script there is no button that does nothing.
    const plain = await watch.page({ javaScriptEnabled: false })
    await plain.goto(authorization())
    assert.ok(await plain.locator('#password').isVisible())
    assert.ok(await plain.locator('button[data-show=password]').isHidden())
  },

  'every page is in Korean when the application asks for it': async (watch) => {
    watch.expectStatus(401)
    watch.expectStatus(400)
    await walk(await watch.context(), pages, isKorean, 'ko')
  },

  'the browser speaks Korean, and a person who prefers English keeps it': async (watch) => {
    const page = await watch.page({ locale: 'ko-KR' })
    await page.goto(authorization())
    await isKorean('sign-in', page)
    await page.locator('form[action$="/language"] button[value=en]').click()
    await page.locator('html[lang=en]').waitFor()
    await signIn(page, person())
    await allow(page).waitFor()
    assert.equal(await page.locator('html').getAttribute('lang'), 'en')
  },

  'in a window of 320 pixels nothing needs scrolling sideways': async (watch) => {
    watch.expectStatus(401)
    watch.expectStatus(400)
    for (const language of ['en', 'ko']) {
      const context = await watch.context({ viewport: { width: 320, height: 568 }, colorScheme: 'dark' })
      await walk(context, { ...pages, ...appPages }, noSideways, language)
    }
  },

  'what is pressed is large enough for a finger': async (watch) => {
    watch.expectStatus(401)
    watch.expectStatus(400)
    await walk(await watch.context({ viewport: { width: 390, height: 844 } }), pages, async (name, page) => {
      const small = await page.evaluate(() => [...document.querySelectorAll('button, input:not([type=hidden]), a.main, label.check')]
        .map((e) => ({ e, box: e.getBoundingClientRect() }))
        .filter(({ e, box }) => box.width > 0 && (e.matches('input[type=checkbox]') ? e.closest('label').getBoundingClientRect() : box).height < 24)
        .map(({ e }) => e.outerHTML))
      assert.deepEqual(small, [], name)
    })
  },

  'the sign-in page with all it loads is light and comes from here': async (watch) => {
    const page = await watch.page()
    let bytes = 0
    page.on('response', async (r) => { bytes += (await r.body()).length })
    await page.goto(authorization())
    await page.waitForLoadState('networkidle')
    assert.ok(bytes > 1000 && bytes < 30_000, `the sign-in page with all it loads has ${bytes} bytes`)
    const hosts = await page.evaluate(() => performance.getEntriesByType('resource').map((e) => new URL(e.name).origin))
    assert.ok(hosts.length >= 3 && hosts.every((origin) => origin === at.issuer), hosts.join())
  },
}
