// What the editor would deploy of the shipped flow is the shipped flow: a
// property that it adds or drops would make each deploy an edit of every tab.
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { WAIT, openBrowser, openPage, startNodeRed } from './lib.js'

const { fingerprint, split, title } = createRequire(import.meta.url)('../../nodered/lib/units.js')

describe('the editor', { timeout: 3 * WAIT }, () => {
  const dir = mkdtempSync(join(tmpdir(), 'nodered-e2e-'))
  let browser, nodered

  before(async () => {
    nodered = await startNodeRed({ NODERED_USER_DIR: dir })
    browser = await openBrowser()
  })

  after(async () => {
    await browser?.close()
    await nodered?.stop()
    rmSync(dir, { recursive: true, force: true })
  })

  test('would deploy each shipped tab, subflow and configuration node as it is', async () => {
    const page = await openPage(browser, `${nodered.url}/`)
    await page.waitForFunction(() => window.RED?.nodes?.workspace?.('dcs-tab') && window.RED.nodes.node('dcs-theme'))
    const deployed = split(JSON.parse(await page.evaluate(() => JSON.stringify(window.RED.nodes.createCompleteNodeSet()))))
    const shipped = split(JSON.parse(readFileSync(new URL('../../nodered/flows.json', import.meta.url), 'utf8')))
    assert.deepEqual([...deployed.keys()].sort(), [...shipped.keys()].sort())
    const changed = [...shipped].filter(([id, nodes]) => fingerprint(nodes) !== fingerprint(deployed.get(id)))
    assert.deepEqual(changed.map(([id, nodes]) => title(id, nodes)), [])
  })
})
