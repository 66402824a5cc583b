// The addresses that pages had before there was a prefix lead to where they are now.
'use strict'

const OLD = /^\/(?:$|\?|(?:dashboard|ui)(?:[/?]|$))/

// oldAddresses makes a handler that redirects them below root, and lets
// everything else by.
function oldAddresses (root) {
  const prefix = `/${root}`.replace(/^\/+/, '/').replace(/\/+$/, '')
  return (req, res, next) => {
    const reads = req.method === 'GET' || req.method === 'HEAD'
    if (!prefix || !reads || !OLD.test(req.originalUrl)) return next()
    res.redirect(302, prefix + req.originalUrl)
  }
}

module.exports = { oldAddresses }
