'use strict'

const crypto = require('node:crypto')
const fs = require('node:fs')
const path = require('node:path')
const { read, write } = require('./files.js')

// ship puts the shipped flow into the user's folder and says what it did.
//
// The first start copies it. Later starts replace it only while nobody has
// edited it; an edited flow is kept, and the new one is laid next to it.
function ship (from, userDir) {
  const shipped = fs.readFileSync(path.join(from, 'flows.json'))
  const flows = path.join(userDir, 'flows.json')
  const mark = path.join(userDir, '.shipped-flows')
  const sum = digest(shipped)

  const mine = read(flows)
  if (mine === null) {
    write(flows, shipped)
    write(mark, sum)
    return 'the shipped flow was installed'
  }
  if (digest(mine) === sum) {
    write(mark, sum)
    return 'the flow is the shipped one'
  }
  const last = String(read(mark) ?? '')
  if (digest(mine) === last) {
    write(flows, shipped)
    write(mark, sum)
    return 'the shipped flow was updated'
  }
  if (last === sum) return 'the flow was edited here and is kept'
  write(path.join(userDir, 'flows.shipped.json'), shipped)
  return 'the flow was edited here and is kept; a newer shipped one is next to it as flows.shipped.json'
}

const digest = (data) => crypto.createHash('sha256').update(data).digest('hex')

module.exports = { ship }
