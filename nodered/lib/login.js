'use strict'

const crypto = require('node:crypto')
const { read, write } = require('./files.js')

const BROKER = 'dcs-broker'
const LOGIN = { user: '${DCS_MQTT_USER}', password: '${DCS_MQTT_PASSWORD}' }

// keepLogin gives the shipped broker node its login when there is one, as names
// of variables, and takes it away when there is none: an empty user name is not
// the same to a broker. A login typed in the editor is left alone.
function keepLogin (file, secret, wanted) {
  const text = read(file)
  let all
  try {
    all = text === null ? {} : open(JSON.parse(text), secret)
  } catch {
    return // another secret or a broken file: Node-RED says so
  }
  const mine = all[BROKER]
  if (mine && mine.user !== LOGIN.user) return
  if (Boolean(mine) === wanted) return
  if (wanted) all[BROKER] = LOGIN
  else delete all[BROKER]
  write(file, JSON.stringify(seal(all, secret), null, 4))
}

// Node-RED's own format: AES-256-CTR, the vector in hexadecimal before the text.
const key = (secret) => crypto.createHash('sha256').update(secret).digest()

function open (credentials, secret) {
  if (!credentials.$) return credentials
  const vector = Buffer.from(credentials.$.slice(0, 32), 'hex')
  const cipher = crypto.createDecipheriv('aes-256-ctr', key(secret), vector)
  return JSON.parse(cipher.update(credentials.$.slice(32), 'base64', 'utf8') + cipher.final('utf8'))
}

function seal (credentials, secret) {
  const vector = crypto.randomBytes(16)
  const cipher = crypto.createCipheriv('aes-256-ctr', key(secret), vector)
  return { $: vector.toString('hex') + cipher.update(JSON.stringify(credentials), 'utf8', 'base64') + cipher.final('base64') }
}

module.exports = { keepLogin, open, seal }
