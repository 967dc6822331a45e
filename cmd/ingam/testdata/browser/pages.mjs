// Every page that people see, and how to get there.
import { alice, allow, at, authorization, fillIn, isIn, logout, signIn, submit } from './steps.mjs'

// The pages, in an order in which one browser can see them all. Each function leaves the page open.
export const pages = {
  'sign-in': (page, more) => page.goto(authorization(more)),
  'sign-in-error': async (page) => {
    await fillIn(page, alice, 'not the password')
    await submit(page).click()
    await page.locator('[role=alert]').waitFor()
  },
  'consent': async (page, more) => {
    await page.goto(authorization({ scope: 'openid profile email notes.read', prompt: 'consent', ...more }))
    await signIn(page, alice)
    await allow(page).waitFor()
  },
  'choose': async (page, more) => {
    await page.goto(authorization({ prompt: 'select_account', ...more }))
    await page.locator('form[action$="/login/choose"]').waitFor()
  },
  'sign-in-again': async (page, more) => {
    await page.goto(authorization({ prompt: 'login', ...more }))
    await submit(page).waitFor()
  },
  'account': async (page, more) => {
    // An application with access is something to see.
    await page.goto(at.web + '/login')
    await allow(page).or(page.locator('#name')).first().waitFor()
    if (await allow(page).count()) await allow(page).click()
    await isIn(page, alice)
    await page.goto(at.issuer + '/account' + query(more))
    await page.locator('form[action$="/account/password"], section').first().waitFor()
  },
  'logout': async (page, more) => {
    await page.goto(at.issuer + '/oauth2/logout' + query({ client_id: 'demo-web', ...more }))
    await logout(page).waitFor()
  },
  'logged-out': async (page) => {
    await logout(page).click()
    await logout(page).waitFor({ state: 'detached' })
  },
  // The application, which is told in a frame, answers the browser that comes back with 204: so the page stays to be looked at.
  'logged-out-and-on': async (page, more) => {
    await page.goto(at.web + '/login')
    await signIn(page, alice)
    await isIn(page, alice)
    await page.goto(at.issuer + '/oauth2/logout' + query({ client_id: 'demo-web', post_logout_redirect_uri: at.web + '/', ...more }))
    await page.route(at.web + '/', (route) => route.fulfill({ status: 204 }), { times: 1 })
    await Promise.all([page.waitForEvent('requestfailed', (r) => r.url() === at.web + '/'), logout(page).click()])
    await page.locator('iframe').waitFor({ state: 'attached' })
  },
  'error': (page, more) => page.goto(authorization({ redirect_uri: 'https://elsewhere.example/callback', ...more })),
}

// The pages of the demo applications, which are in English only.
export const appPages = {
  'app-out': (page) => page.goto(at.web),
  'app': async (page) => {
    await page.locator('#login').click()
    await signIn(page, alice)
    await isIn(page, alice)
  },
  'app-spa': async (page) => {
    await page.goto(at.spa)
    await isIn(page, alice)
    await page.locator('#main:not([aria-busy])').waitFor()
  },
}

const query = (more = {}) => '?' + new URLSearchParams(more)

// walk visits pages in one tab and does something at each of them.
export async function walk(context, which, visit, language = 'en') {
  const page = await context.newPage()
  const more = language === 'en' ? {} : { ui_locales: language }
  for (const [name, open] of Object.entries(which)) {
    await open(page, more)
    await page.waitForLoadState()
    await visit(name, page)
  }
}
