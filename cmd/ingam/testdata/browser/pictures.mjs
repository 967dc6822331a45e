// Pictures of every page for the documentation, written where PICTURES names a folder.
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { alice, assert, at, logout, signIn } from './steps.mjs'
import { appPages, pages, walk } from './pages.mjs'
import { small } from './small.mjs'

const folder = process.env.PICTURES

const variants = {
  light: { colorScheme: 'light', viewport: { width: 720, height: 900 } },
  dark: { colorScheme: 'dark', viewport: { width: 720, height: 900 } },
  phone: { colorScheme: 'light', viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true },
}

// tidy signs the person of the pictures out everywhere: how often other scenarios have signed in is no part of a picture.
async function tidy(context) {
  const page = await context.newPage()
  await page.goto(at.issuer + '/account')
  await signIn(page, alice)
  await page.locator('form[action$="/account/sessions/end"]').first().waitFor()
  const others = page.locator('form[action$="/account/sessions/end-others"] button')
  if (await others.count()) await others.click()
  await page.goto(at.issuer + '/logout')
  await logout(page).click()
  await logout(page).waitFor({ state: 'detached' })
  await page.close()
}

// needKorean fails without a font for the name of the other language: two letters that are the same box.
async function needKorean(page) {
  const [one, other] = await page.evaluate(() => [...'한국'].map((letter) => {
    const canvas = document.createElement('canvas')
    const pen = canvas.getContext('2d')
    pen.font = '40px sans-serif'
    pen.fillText(letter, 10, 60)
    return canvas.toDataURL()
  }))
  assert.notEqual(one, other, 'pictures for the documentation need a font with Korean letters, like fonts-nanum')
}

export const scenarios = {
  'each page has its pictures: light, dark, phone': async (watch) => {
    watch.expectStatus(401)
    watch.expectStatus(400)
    if (folder) await needKorean(await watch.page())
    for (const [variant, look] of Object.entries(variants)) {
      const context = await watch.context({ ...look, reducedMotion: 'reduce' })
      await tidy(context)
      await walk(context, { ...pages, ...appPages }, async (name, page) => {
        const height = await page.evaluate(() => Math.ceil(
          Math.max(...[...document.body.children].map((e) => e.getBoundingClientRect().bottom)) + 16))
        const picture = small(await page.screenshot({
          fullPage: true, caret: 'hide', scale: 'css', clip: { x: 0, y: 0, width: look.viewport.width, height },
        }))
        assert.ok(picture.length > 1000 && picture.length < 100_000, `${name}-${variant} has ${picture.length} bytes`)
        if (folder) await writeFile(join(folder, `${name}-${variant}.png`), picture)
      })
    }
  },
}
