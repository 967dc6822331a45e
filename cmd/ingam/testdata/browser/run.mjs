// Runs every scenario in one Chromium, one after the other, each with contexts of its own, and prints one line of JSON for
// each: {scenario, error, milliseconds}, and at the end {done, contexts, pages, violations}. Arguments choose by name.
import { launch } from './watch.mjs'
import * as journey from './journey.mjs'
import * as mistakes from './mistakes.mjs'
import * as leave from './leave.mjs'
import * as second from './second.mjs'
import * as sessions from './sessions.mjs'
import * as people from './people.mjs'
import * as pictures from './pictures.mjs'

const scenarios = Object.assign({}, ...[journey, mistakes, leave, second, sessions, people, pictures].map((file) => file.scenarios))
const chosen = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(scenarios)
const say = (line) => process.stdout.write(JSON.stringify(line) + '\n')

const browser = await launch(process.env.CHROMIUM)
try {
  for (const name of chosen) {
    const begun = Date.now()
    const watch = browser.watch()
    let error = null
    try {
      await scenarios[name](watch)
      await watch.verdict()
    } catch (e) {
      error = [e.stack ?? String(e), ...(await watch.remains())].join('\n')
    } finally {
      await watch.close()
    }
    say({ scenario: name, error, milliseconds: Date.now() - begun })
  }
} finally {
  await browser.close()
}
say({ done: true, ...browser.counts })
