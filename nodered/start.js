// Starts Node-RED in this process: turns the DCS_ settings into what the flow
// reads, puts the shipped flow into the user's folder, ends on a signal.
'use strict'

const fs = require('node:fs')
const path = require('node:path')
const { brokerEnv, secret } = require('./lib/env.js')
const { installGate } = require('./lib/gate.js')
const { keepLogin } = require('./lib/login.js')
const { ship } = require('./lib/ship.js')

const STOP_MS = 3000

function main (env) {
  installGate(env)
  const userDir = path.resolve(env.NODERED_USER_DIR || path.join('data', 'nodered'))
  fs.mkdirSync(userDir, { recursive: true })

  Object.assign(env, brokerEnv(env), {
    NODERED_USER_DIR: userDir,
    NODERED_CREDENTIAL_SECRET: secret(env, userDir),
    DCS_TOPIC_ROOT: env.DCS_TOPIC_ROOT || ''
  })
  if (!env.NODERED_FLOW_FILE) {
    console.error(`nodered: ${ship(__dirname, userDir)}`)
    try {
      keepLogin(path.join(userDir, 'flows_cred.json'), env.NODERED_CREDENTIAL_SECRET, env.DCS_MQTT_USER !== '')
    } catch (err) {
      console.error(`nodered: the broker node's login was left as it is: ${err.message}`)
    }
  }

  // Node-RED ends by itself on these; a browser that holds a connection must not delay it.
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.on(signal, () => setTimeout(() => process.exit(0), STOP_MS).unref())
  }
  process.argv = [process.argv[0], process.argv[1], '--settings', path.join(__dirname, 'settings.js')]
  require('node-red/red.js')
}

try {
  main(process.env)
} catch (err) {
  console.error(`nodered: ${err.message}`)
  process.exit(2)
}
