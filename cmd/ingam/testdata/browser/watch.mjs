// Contexts of a browser that hear everything a page complains about.
import { chromium } from 'playwright-core'

// Sandboxed or not, it sees pages of this machine only. Nothing here may ask the network for anything.
const args = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--disable-lcd-text'] // text in shades of one colour makes small pictures

// patience is how long one step may take on a machine that is busy with other tests.
export const patience = 30_000

export async function launch(executablePath) {
  const browser = await chromium.launch({ executablePath, args, headless: true })
  const counts = { contexts: 0, pages: 0, violations: 0 }
  return {
    counts,
    watch: () => new Watch(browser, counts),
    close: () => browser.close(),
  }
}

// Watch is what one scenario works with.
class Watch {
  constructor(browser, counts) {
    Object.assign(this, { browser, counts, contexts: [], complaints: [], expected: [] })
  }

  // expect says which complaints belong to a scenario. Chromium writes to the console when a page is answered with 4xx.
  expect(...patterns) { this.expected.push(...patterns) }
  expectStatus(...all) { this.expect(...all.map((status) => new RegExp(`responded with a status of ${status}\\b`))) }

  complain(kind, text) { this.complaints.push({ kind, text }) }

  // context is a browser of its own: no cookies, nothing kept. English unless options say otherwise.
  async context(options = {}) {
    const context = await this.browser.newContext({ locale: 'en-GB', viewport: { width: 1000, height: 800 }, ...options })
    this.counts.contexts++
    this.contexts.push(context)
    context.setDefaultTimeout(patience)
    await context.exposeBinding('ingamViolation', (_, v) => {
      this.counts.violations++
      this.complain('violation', `${v.directive} of ${v.page} forbids ${v.what}`)
    })
    await context.addInitScript(() => document.addEventListener('securitypolicyviolation', (e) => {
      window.ingamViolation({ directive: e.effectiveDirective, page: e.documentURI, what: e.blockedURI })
    }))
    context.on('page', () => this.counts.pages++)
    context.on('console', (message) => {
      // What begins with [DOM] is advice about forms, such as that a password manager lacks a field.
      if (message.type() === 'error' || message.text().startsWith('[DOM]')) this.complain('console', `${message.text()} (${message.location().url})`)
    })
    context.on('weberror', (e) => this.complain('script', String(e.error().stack)))
    return context
  }

  async page(options) { return (await this.context(options)).newPage() }

  unexpected() {
    return this.complaints.filter((c) => c.kind === 'violation' || !this.expected.some((pattern) => pattern.test(c.text)))
  }

  // verdict fails for what nobody expected, and for what was expected and did not come.
  async verdict() {
    await Promise.all(this.pages().map((page) => page.waitForLoadState()))
    const found = this.unexpected()
    if (found.length) throw new Error('the pages complain:\n' + found.map((c) => `${c.kind}: ${c.text}`).join('\n'))
    const missing = this.expected.filter((pattern) => !this.complaints.some((c) => pattern.test(c.text)))
    if (missing.length) throw new Error('expected and not heard: ' + missing.join(', '))
  }

  pages() { return this.contexts.flatMap((context) => context.pages()) }

  // remains tells where a scenario was when it failed.
  async remains() {
    const lines = this.unexpected().map((c) => `${c.kind}: ${c.text}`)
    for (const page of this.pages()) {
      const text = await page.locator('body').innerText({ timeout: 2000 }).catch((e) => e.message)
      lines.push(`page ${page.url()}:`, text.replace(/\n+/g, '\n  | ').slice(0, 1500))
    }
    return lines
  }

  async close() { await Promise.all(this.contexts.map((context) => context.close())) }
}
