// A laboratory that is not there, for the mock server.
export const metas = {
  hv: {
    kind: 'psu', model: 'NHR 42 10r', serial: '7200123', firmware: '1.42', driver: 'psu 0.1.0', period: 1,
    channels: [{ number: 0, label: 'Module A', min: 0, max: 500 }, { number: 1, label: 'Module B', min: 0, max: 1000 }, { number: 2, min: 0, max: 1000 }, { number: 3, min: 0, max: 1000 }],
    fields: { vreq: { unit: 'V', min: 0, max: 1000 }, ireq: { unit: 'A', min: 0, max: 0.008 }, vmon: { unit: 'V', tolerance: 1 }, imon: { unit: 'A' }, ramp: { unit: 'V/s' } },
    commands: { setv: { unit: 'V', min: 0, max: 1000 }, seti: { unit: 'A', min: 0, max: 0.008 }, ramp: { unit: 'V/s', min: 1, max: 200 }, switch: { values: ['on', 'off'] }, clear: {}, lock: {}, unlock: {} },
  },
  lv: {
    kind: 'psu', model: 'HMP4040', serial: '103221', firmware: 'HW50020003/SW2.70', driver: 'psu 0.1.0', period: 1,
    channels: [1, 2, 3, 4].map(number => ({ number, label: ['FE analog', 'FE digital', '', ''][number - 1] || undefined, min: 0, max: 20 })),
    fields: { vreq: { unit: 'V', min: 0, max: 32.05 }, ireq: { unit: 'A', min: 0, max: 10 }, vmon: { unit: 'V', tolerance: 0.05 }, imon: { unit: 'A' } },
    commands: { setv: { unit: 'V', min: 0, max: 32.05 }, seti: { unit: 'A', min: 0, max: 10 }, switch: { values: ['on', 'off'] }, clear: {}, lock: {}, unlock: {} },
  },
  dht_room: { kind: 'sensor', model: 'DHT22', driver: 'sensor 0.1.0', period: 2, fields: { temperature: { unit: '°C' }, humidity: { unit: '%' } }, commands: {} },
  sensor_1: { kind: 'sensor', model: 'sine', driver: 'sensor 0.1.0', period: 1, fields: { meas1: {}, meas2: {} }, commands: {} },
  ph2acf: {
    kind: 'calibration', model: 'ph2acf', driver: 'ph2acf 0.1.0', period: 1, fields: { elapsed: { unit: 's' }, progress: { min: 0, max: 1 } }, commands: { start: {}, abort: {} },
    procedures: { calibration: { title: 'Calibration of a module', limit: 300, parameters: { module: { type: 'string', title: 'The module as on its label', pattern: 'M[0-9]{1,4}', required: true }, vcal: { type: 'int', min: 1, max: 1000, default: 200 } } } },
  },
}

const boot = Math.random().toString(16).slice(2, 12)

export class Lab {
  channels = { hv: [0, 1, 2, 3].map(n => channel(n, n < 2 ? 100 : 0, n < 2, 0.004, 20)), lv: [1, 2, 3, 4].map(n => channel(n, 1.2, n < 3, 2)) }
  locks = { hv: { 3: { user: 'erika', reason: 'module B is being bonded', time: new Date(Date.now() - 3600e3).toISOString() } }, lv: {} }
  seq = 0

  constructor (more = 0) {
    for (let i = 0; i < more; i++) {
      metas[`hv_${i}`] = metas.hv
      this.channels[`hv_${i}`] = [0, 1, 2, 3].map(n => channel(n, 100 + i, true, 0.004, 20))
      this.locks[`hv_${i}`] = {}
    }
    this.channels.hv[2].trip = 1
    this.channels.hv[3].locked = 1
  }

  step (dt) {
    for (const [name, list] of Object.entries(this.channels)) {
      for (const c of list) {
        const to = c.on ? c.vreq : 0
        const d = to - c.v
        const most = (c.ramp ?? 50) * dt
        c.v += Math.abs(d) < most ? d : Math.sign(d) * most
        c.ramping = c.ramp && Math.abs(d) > most ? 1 : 0
        c.limited = name === 'lv' && c.number === 2 && c.on && c.v > 1.4 ? 1 : 0
      }
    }
  }

  status (name) {
    const common = { time: new Date().toISOString(), seq: ++this.seq, boot }
    const t = Date.now() / 1000
    if (name === 'dht_room') return { temperature: +(21.3 + Math.sin(t / 60)).toFixed(2), humidity: +(43 + Math.cos(t / 90)).toFixed(1), ...common }
    if (name === 'sensor_1') return { meas1: +Math.sin(t / 10).toFixed(4), meas2: +Math.cos(t / 10).toFixed(4), ...common }
    if (name === 'ph2acf') return { run: 42, running: 1, progress: (t % 100) / 100, elapsed: Math.round(t % 100), lines: 812, waiting: 0, sent: 0, free: 1e11, phase: 'scan', procedure: 'calibration', ...common }
    return this.channels[name].map(({ v, ...c }) => ({ ...c, vmon: +(v + (v ? (Math.random() - 0.5) * 0.04 : 0)).toFixed(4), imon: name === 'hv' ? +(v * 4.9e-9 + Math.random() * 2e-9).toPrecision(4) : +(c.on ? v * 0.4 + Math.random() * 0.002 : 0).toPrecision(4), ...common }))
  }
}

function channel (number, vreq, on, ireq, ramp) {
  return { number, on: on ? 1 : 0, vreq, ireq, v: on ? vreq : 0, ...(ramp ? { ramp, ramping: 0, interlock: 0 } : {}), limited: 0, trip: 0, locked: 0 }
}
