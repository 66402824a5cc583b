// A person's act on the page -> a command on the bus. Only the panel's buttons
// get here; no status does. Out: 1 the bus, 2 the list of answers.
const LATE_MS = 5000 // a click that the network held back is not obeyed
const EXPIRES_MS = 10000
const NUMBERS = ['setv', 'seti', 'ramp']

const p = msg.payload || {}
const op = String(p.op)
const channel = p.channel === 'all' ? 'all' : Number(p.channel)
const device = env.get('DEVICE')
const now = Date.now()
const id = `nr-${now.toString(36)}-${Math.random().toString(36).slice(2, 8)}`
const envelope = { id, user: 'node-red', expires: new Date(now + EXPIRES_MS).toISOString() }

if (NUMBERS.includes(op)) envelope.value = Number(p.value)
else if (op === 'switch') envelope.value = p.value === 'on' ? 'on' : 'off'
else if (op === 'lock') envelope.reason = String(p.value || 'locked from the page').slice(0, 200)
else if (op !== 'clear' && op !== 'unlock') return null
if (channel !== 'all' && !Number.isInteger(channel)) return null
if (NUMBERS.includes(op) && !Number.isFinite(envelope.value)) return null

const sent = { sent: { id, device, op, channel, value: envelope.value ?? envelope.reason ?? null, user: envelope.user, at: now } }
const off = op === 'switch' && envelope.value === 'off'
if (!off && !(Math.abs(now - p.at) <= LATE_MS)) {
  sent.sent.late = true
  return [null, sent]
}
const root = env.get('DCS_TOPIC_ROOT') || ''
return [{ topic: `${root}/${device}/cmd/${op}/${channel}`, payload: JSON.stringify(envelope), qos: 1, retain: false }, sent]
