'use strict'

const fs = require('node:fs')

// read gives null for a file that is not there.
function read (file) {
  try {
    return fs.readFileSync(file)
  } catch (err) {
    if (err.code === 'ENOENT') return null
    throw err
  }
}

// write replaces a file as a whole: a kill leaves the old or the new one.
function write (file, data) {
  const temp = `${file}.new`
  fs.writeFileSync(temp, data)
  fs.renameSync(temp, file)
}

module.exports = { read, write }
