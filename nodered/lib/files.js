'use strict'

const fs = require('node:fs')
const path = require('node:path')

// read gives null for a file that is not there.
function read (file) {
  try {
    return fs.readFileSync(file)
  } catch (err) {
    if (err.code === 'ENOENT') return null
    throw err
  }
}

// write replaces a file as a whole: a kill or a power cut leaves the old or the
// new one. A file that says the same already is not written.
function write (file, data, mode = 0o666) {
  if (read(file)?.equals(Buffer.from(data))) return
  const temp = `${file}.new`
  try {
    const fd = fs.openSync(temp, 'w', mode)
    try {
      fs.writeFileSync(fd, data)
      fs.fsyncSync(fd)
    } finally {
      fs.closeSync(fd)
    }
    fs.renameSync(temp, file)
  } catch (err) {
    remove(temp) // a part of it takes room on a full disk
    throw err
  }
  syncFolder(path.dirname(file))
}

// syncFolder makes the new name last. Not every file system can: the file itself is there.
function syncFolder (dir) {
  let fd
  try {
    fd = fs.openSync(dir, 'r')
    fs.fsyncSync(fd)
  } catch { /* as far as it can be had */ } finally {
    if (fd !== undefined) fs.closeSync(fd)
  }
}

// remove takes a file away, as far as that is possible.
function remove (file) {
  try {
    fs.unlinkSync(file)
  } catch { /* it is not there, or stays */ }
}

module.exports = { read, remove, write }
