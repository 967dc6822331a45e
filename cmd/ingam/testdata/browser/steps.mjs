// What a person does, and how a test asks what they see.
import assert from 'node:assert/strict'

const { ISSUER: issuer, WEB: web, SPA: spa, SHORT: short, HOP: hop } = process.env
export const at = { issuer, web, spa, short, hop } // short is one with https where sessions soon end

export const alice = { username: 'alice', password: 'wonderland', name: 'Alice Liddell' }

// person answers somebody who has not signed in anywhere yet: what one scenario consents to, another must not meet.
let next = 0
export function person() {
  assert.ok(next < Number(process.env.PEOPLE), 'there are too few people for so many scenarios')
  const n = next++
  return { username: `person${n}`, password: `the password of person ${n}`, name: `Person No. ${n}` }
}

export const username = (page) => page.locator('input[name=username]:visible')
export const password = (page) => page.locator('input[name=password]:visible')
export const submit = (page) => page.locator('form[action$="/login"] button:not([type=button])')
export const allow = (page) => page.locator('button[name=decision][value=allow]')
export const logout = (page) => page.locator('form[action$="/logout"]:has(input[name=ticket]) button')
export const deny = (page) => page.locator('button[name=decision][value=deny]')

// authorization is an address that begins a sign-in at an application, with parameters of its own.
export function authorization(more = {}) {
  const url = new URL(issuer + '/oauth2/auth')
  for (const [name, value] of Object.entries({
    client_id: 'demo-web', redirect_uri: web + '/callback', response_type: 'code', scope: 'openid profile email', state: 'a-state',
    ...more,
  })) url.searchParams.set(name, value)
  return url.href
}

export async function fillIn(page, who, typed = who.password) {
  await username(page).fill(who.username)
  await password(page).fill(typed)
}

export async function signIn(page, who) {
  await fillIn(page, who)
  await submit(page).click()
}

// enter goes to the web application for the first time and comes back signed in.
export async function enter(page, who) {
  await page.goto(web)
  await page.locator('#login').click()
  await signIn(page, who)
  await allow(page).click()
  await isIn(page, who)
}

// isIn waits until an application knows the person and shows what the resource server answers.
export async function isIn(page, who) {
  await page.locator('#name').getByText(who.name, { exact: true }).waitFor()
  await page.locator('#answer').getByText(new RegExp(`"username": ?"${who.username}"`)).waitFor()
}

export async function isOut(page) { await page.locator('#signed-out').waitFor() }

// asksForPassword waits for the sign-in form.
export async function asksForPassword(page) {
  await password(page).waitFor()
  assert.ok(page.url().startsWith(issuer + '/'), `the form is at ${page.url()}`)
}

export { assert }
