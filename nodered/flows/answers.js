// The last commands and what became of them: one row a command, the latest news on top.
// In: /<dev>/ack and /<dev>/state of every device; what the panels sent; a tick.
const ROWS = 20
const ANSWER_MS = 10000 // the command has expired by then
const OPEN = ['sent', 'no answer'] // what an `accepted` is news to
const now = Date.now()
let rows = context.get('rows') || []
let changed = false
const [device, kind] = String(msg.topic || '').split('/').slice(-2)

if (msg.sent) {
  const { late, ...c } = msg.sent
  put({ ...c, phase: late ? 'not sent' : 'sent', code: '', message: late ? 'the click arrived too late' : '' })
} else if (kind === 'ack') {
  const a = parse(msg.payload)
  if (a && a.phase) ack(a)
} else if (kind === 'state') {
  const st = parse(msg.payload)
  if (st && st.boot) restart(st.boot)
} else {
  for (const r of rows) { // the answer is late, or the clock was set back and nobody can tell
    if (r.phase === 'sent' && (now - r.at > ANSWER_MS || now < r.at - 1000)) put({ ...r, phase: 'no answer', message: 'the driver is away, or may not be commanded from here' })
  }
}
context.set('rows', rows)
return changed ? { payload: rows } : null

function parse (payload) {
  try {
    return JSON.parse(payload)
  } catch {
    return null
  }
}

function put (row) {
  const key = `${row.device} ${row.id}`
  rows = [{ ...row, key }, ...rows.filter((r) => r.key !== key)].slice(0, ROWS)
  changed = true
}

function ack (a) {
  const key = `${device} ${a.id}`
  const old = rows.find((r) => r.key === key)
  if (old && old.phase === a.phase && old.code === a.code) return // the same answer once more
  if (old && a.phase === 'accepted' && !OPEN.includes(old.phase)) return // late: it takes back no end
  const row = { device, id: a.id, boot: a.boot, at: old ? old.at : now, op: a.op, channel: a.channel, value: a.value, user: a.user, phase: a.phase, code: a.code, message: a.message, closest: a.closest, readback: a.readback, took: old && old.at < now ? (now - old.at) / 1000 : null }
  if (a.code === 'DUPLICATE') row.id = `${a.id} again` // the first one's row stays
  if (a.op === 'lock' && old && row.value == null) row.value = old.value
  put(row)
}

// A new boot means that what the old one had under way is unknown.
function restart (boot) {
  for (const r of [...rows].reverse()) {
    if (r.device === device && r.phase === 'accepted' && r.boot !== boot) put({ ...r, phase: 'unknown', message: 'the driver restarted' })
  }
}
