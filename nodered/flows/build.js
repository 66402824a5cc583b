// Puts flows.json together from the files of this folder.
//   node flows/build.js          writes it
//   node flows/build.js --check  fails when it is not up to date
'use strict'

const fs = require('node:fs')
const path = require('node:path')
const { asked, chart, code, env, hidden, inGroup, mqttIn, template, tick, topic, topics } = require('./nodes.js')

const target = path.join(__dirname, '..', 'flows.json')

// The demonstrator's devices; order is the order on the page.
const supplies = [
  { device: 'hv', title: 'High voltage', group: 'dcs-group-hv' },
  { device: 'lv', title: 'Low voltage', group: 'dcs-group-lv' }
]
const sensors = [
  { device: 'dht_room', title: 'Room', group: 'dcs-group-room' },
  { device: 'sensor_1', title: 'Sensor 1', group: 'dcs-group-room' }
]

// The nodes that every device has: bus -> reader -> page.
function device (z, ends, panel, panelName, chartHeight) {
  const ins = ends.map((e, i) => mqttIn(z, `${z}-in-${e}`, `\${${e.toUpperCase()}}`, 130, 80 + 60 * i, [`${z}-reader`]))
  return [
    ...ins,
    { id: `${z}-bus`, type: 'status', z, name: 'bus', scope: [ins[0].id], x: 110, y: 80 + 60 * ins.length, wires: [[`${z}-reader`]] },
    tick(z, `${z}-tick`, 0.5, 110, 140 + 60 * ins.length, [`${z}-reader`]),
    code(z, `${z}-reader`, 'reader', 'reader.js', 2, 350, 140, [[`${z}-panel`], [`${z}-chart`]]),
    template(z, `${z}-panel`, panelName, '${GROUP}', 1, panel, 560, 120, []),
    chart(z, `${z}-chart`, 'last 10 minutes', '${GROUP}', 2, chartHeight, 570, 180)
  ]
}

function supplySubflow () {
  const z = 'dcs-supply'
  const nodes = device(z, ['status', 'state', 'meta', 'ack', 'locks'], 'panel.vue', 'panel', 4)
  nodes.find((n) => n.id === `${z}-panel`).wires = [[`${z}-command`]]
  return [
    {
      id: z, type: 'subflow', name: 'Power supply', category: 'dashboard', color: '#a6bbcf', icon: 'font-awesome/fa-bolt',
      info: 'One power supply on the page. DEVICE is its name on the bus, TITLE its name for people, GROUP where it stands. The output carries what was sent: wire it to "answers".',
      in: [], out: [{ x: 960, y: 180, wires: [{ id: `${z}-command`, port: 1 }] }], outputLabels: ['sent'],
      env: [...asked(supplies[0].group), ...topics('status', 'state', 'meta', 'ack', 'locks')]
    },
    ...nodes,
    code(z, `${z}-command`, 'command', 'command.js', 2, 740, 120, [[`${z}-out`], []]),
    { id: `${z}-out`, type: 'mqtt out', z, name: 'to the driver', topic: '', qos: '1', retain: 'false', respTopic: '', contentType: '', userProps: '', correl: '', expiry: '', broker: 'dcs-broker', x: 960, y: 100, wires: [] }
  ]
}

function sensorSubflow () {
  const z = 'dcs-sensor'
  return [
    {
      id: z, type: 'subflow', name: 'Sensor', category: 'dashboard', color: '#c0deed', icon: 'font-awesome/fa-thermometer-half',
      info: 'One sensor on the page. DEVICE is its name on the bus, TITLE its name for people, GROUP where it stands.',
      in: [], out: [], env: [...asked(sensors[0].group), ...topics('status', 'state', 'meta')]
    },
    ...device(z, ['status', 'state', 'meta'], 'sensor.vue', 'values', 3)
  ]
}

// The list of commands. It hears every device; a supply's output tells it what was sent.
function commandsSubflow () {
  const z = 'dcs-commands'
  return [
    {
      id: z, type: 'subflow', name: 'Commands', category: 'dashboard', color: '#a6bbcf', icon: 'font-awesome/fa-list',
      info: 'The last commands of everybody and what became of them. Wire the outputs of supplies and guards to it.',
      in: [{ x: 60, y: 80, wires: [{ id: `${z}-list` }] }], out: [],
      env: [inGroup('dcs-group-answers'), hidden('ACKS', topic('ack', '+')), hidden('STATES', topic('state', '+'))]
    },
    mqttIn(z, `${z}-in-acks`, '${ACKS}', 130, 140, [`${z}-list`]),
    mqttIn(z, `${z}-in-states`, '${STATES}', 130, 200, [`${z}-list`]),
    tick(z, `${z}-tick`, 1, 130, 260, [`${z}-list`]),
    code(z, `${z}-list`, 'answers', 'answers.js', 1, 380, 140, [[`${z}-page`]]),
    template(z, `${z}-page`, 'list of answers', '${GROUP}', 1, 'answers.vue', 580, 140, [])
  ]
}

// Watches a temperature and switches off. It stands in dry mode: it switches nothing.
function guardSubflow () {
  const z = 'dcs-guard'
  const to = [`${z}-panel`, `${z}-chart`, `${z}-out`]
  const ins = [['status', '${STATUS}'], ['outside', '${OUTSIDE}'], ['acks', '${ACKS}'], ['states', '${STATES}']]
  const select = (name, value, label, options) => ({ ...env(name, value), ui: { label: { 'en-US': label }, type: 'select', opts: { opts: options.map(([v, l]) => ({ l: { 'en-US': l }, v })) } } })
  const ask = (name, value, label) => ({ ...env(name, value), ui: { label: { 'en-US': label } } })
  return [
    {
      id: z, type: 'subflow', name: 'Temperature guard', category: 'dashboard', color: '#e6c7a0', icon: 'font-awesome/fa-fire-extinguisher',
      info: 'Too hot for some readings: it sends "switch off", once, until a person re-arms it. nodered/README.md says how. It is no interlock. Outputs: 1 what was sent, for "Commands"; 2 news, for a notification.',
      in: [],
      out: [{ x: 620, y: 260, wires: [{ id: `${z}-watch`, port: 3 }] }, { x: 620, y: 320, wires: [{ id: `${z}-watch`, port: 4 }] }],
      outputLabels: ['sent', 'news'],
      env: [
        ask('TITLE', '', 'title'),
        ask('SENSOR', '', 'sensor: device, or name of one outside'),
        ask('FIELD', 'temperature', 'field'),
        ask('HOT', '35', 'too hot from, °C'),
        ask('COOL', '30', 're-armed not before, °C'),
        ask('READINGS', '3', 'readings one after the other'),
        ask('STALE_S', '30', 'no value after, s'),
        ask('OFF', '', 'then off: hv/all, lv/1, lv/2'),
        select('MODE', 'dry', 'mode', [['dry', 'dry: check only, switch nothing'], ['act', 'act: switch off']]),
        inGroup('dcs-group-guard'),
        hidden('STATUS', topic('status', '${SENSOR}')),
        hidden('OUTSIDE', topic('${FIELD}', 'sensor/${SENSOR}')),
        hidden('ACKS', topic('ack', '+')),
        hidden('STATES', topic('state', '+'))
      ]
    },
    ...ins.map(([name, t], i) => mqttIn(z, `${z}-in-${name}`, t, 130, 80 + 60 * i, [`${z}-watch`])),
    { id: `${z}-bus`, type: 'status', z, name: 'bus', scope: [`${z}-in-status`], x: 110, y: 320, wires: [[`${z}-watch`]] },
    tick(z, `${z}-tick`, 1, 110, 380, [`${z}-watch`]),
    code(z, `${z}-watch`, 'guard', 'guard.js', 5, 350, 200, [...to.map((id) => [id]), [], []]),
    template(z, `${z}-panel`, 'guard on the page', '${GROUP}', 1, 'guard.vue', 590, 80, [`${z}-watch`]),
    chart(z, `${z}-chart`, 'last 10 minutes', '${GROUP}', 2, 4, 590, 140),
    { id: `${z}-out`, type: 'mqtt out', z, name: 'to the driver', topic: '', qos: '1', retain: 'false', respTopic: '', contentType: '', userProps: '', correl: '', expiry: '', broker: 'dcs-broker', x: 600, y: 200, wires: [] }
  ]
}

function styleSubflow () {
  const z = 'dcs-style'
  return [
    { id: z, type: 'subflow', name: 'Style of the pages', category: 'dashboard', color: '#dddddd', icon: 'font-awesome/fa-paint-brush', info: 'How supplies, sensors, commands and guards look, on every page.', in: [], out: [], env: [] },
    { ...template(z, `${z}-css`, 'style', '', 1, 'page.css', 140, 60, []), ui: 'dcs-ui', templateScope: 'site:style' }
  ]
}

// One instance of a subflow on a tab.
function instance (id, type, z, name, values, group, order, x, y, wires) {
  return {
    id, type: `subflow:${type}`, z, name,
    env: [
      ...Object.entries(values).map(([k, v]) => env(k, v)),
      ...(group ? [{ name: 'GROUP', value: group, type: 'conf-type' }, { name: 'DB2_SF_ORDER', value: String(order), type: 'str' }] : [])
    ],
    x, y, wires
  }
}
const device1 = (type, { device, title, group }, i, x, y, wires) =>
  instance(`dcs-${device}`, type, 'dcs-tab', title, { DEVICE: device, TITLE: title }, group, i + 1, x, y, wires)

const group = (id, name, width, order, page = 'dcs-page') =>
  ({ id, type: 'ui-group', name, page, width, height: 1, order, showTitle: false, className: '', visible: 'true', disabled: 'false', groupType: 'default' })

function page (id, name, path, icon, order) {
  return {
    id, type: 'ui-page', name, ui: 'dcs-ui', path, icon, layout: 'grid', theme: 'dcs-theme',
    breakpoints: [
      { name: 'Phone', px: '0', cols: '3' }, { name: 'Tablet', px: '576', cols: '6' },
      { name: 'Small desktop', px: '768', cols: '6' }, { name: 'Desktop', px: '1024', cols: '12' }
    ],
    order, className: '', visible: 'true', disabled: 'false'
  }
}

const flows = [
  {
    id: 'dcs-tab', type: 'tab', label: 'Power', disabled: false,
    info: 'The operators\' page, /nodered/dashboard/power. How it works and how to add a device: nodered/README.md.',
    env: []
  },
  {
    id: 'dcs-tab-guard', type: 'tab', label: 'Temperature guard', disabled: false,
    info: 'An example that reacts to a temperature: /nodered/dashboard/guard. It stands in dry mode and switches nothing. Open the node to set the sensor, the limits, what is switched off, and the mode. It is no interlock: see nodered/README.md.',
    env: []
  },
  ...supplySubflow(),
  ...sensorSubflow(),
  ...commandsSubflow(),
  ...guardSubflow(),
  ...styleSubflow(),

  { id: 'dcs-note-1', type: 'comment', z: 'dcs-tab', name: 'One node a device. Copy one to add another.', info: '', x: 210, y: 40, wires: [] },
  ...supplies.map((s, i) => device1('dcs-supply', s, i, 140, 100 + 60 * i, [['dcs-answers']])),
  ...sensors.map((s, i) => device1('dcs-sensor', s, i, 140, 320 + 60 * i, [])),
  { id: 'dcs-from-guards', type: 'link in', z: 'dcs-tab', name: 'commands of other tabs', links: ['dcs-to-commands'], x: 155, y: 220, wires: [['dcs-answers']] },
  instance('dcs-answers', 'dcs-commands', 'dcs-tab', 'Commands', {}, 'dcs-group-answers', 1, 380, 160, []),
  instance('dcs-look', 'dcs-style', 'dcs-tab', '', {}, null, 1, 410, 320, []),

  { id: 'dcs-note-2', type: 'comment', z: 'dcs-tab-guard', name: 'Dry mode: it checks and switches nothing. No interlock.', info: 'Copy the node for another sensor.', x: 250, y: 40, wires: [] },
  instance('dcs-guard-room', 'dcs-guard', 'dcs-tab-guard', 'Room', {
    TITLE: 'Room temperature', SENSOR: 'dht_room', FIELD: 'temperature', HOT: '35', COOL: '30', READINGS: '3', STALE_S: '30', OFF: 'hv/all, lv/all', MODE: 'dry'
  }, 'dcs-group-guard', 1, 130, 120, [['dcs-to-commands'], ['dcs-news']]),
  { id: 'dcs-to-commands', type: 'link out', z: 'dcs-tab-guard', name: 'to the list of commands', mode: 'link', links: ['dcs-from-guards'], x: 345, y: 100, wires: [] },
  {
    id: 'dcs-news', type: 'ui-notification', z: 'dcs-tab-guard', ui: 'dcs-ui', position: 'bottom right', colorDefault: false, color: '#c01818',
    displayTime: '60', showCountdown: true, outputs: 0, allowDismiss: true, dismissText: 'Close', allowConfirm: false, confirmText: 'Confirm',
    raw: false, className: '', name: 'on every page', x: 370, y: 140, wires: []
  },

  {
    id: 'dcs-broker', type: 'mqtt-broker', name: 'the bus', broker: '${DCS_MQTT_URL}', port: '', tls: 'dcs-tls', clientid: '', autoConnect: true, usetls: true,
    protocolVersion: '4', keepalive: '15', cleansession: true, autoUnsubscribe: true,
    birthTopic: '', birthQos: '0', birthPayload: '', birthMsg: {}, closeTopic: '', closeQos: '0', closePayload: '', closeMsg: {}, willTopic: '', willQos: '0', willPayload: '', willMsg: {}, userProps: '', sessionExpiry: ''
  },
  { id: 'dcs-tls', type: 'tls-config', name: 'certificates of the bus', cert: '', key: '', ca: '${DCS_MQTT_CA}', certname: '', keyname: '', caname: '', servername: '', verifyservercert: true, alpnprotocol: '' },

  {
    // Without an icon of its own Dashboard 2 asks for /dashboard/favicon.ico, without the prefix.
    id: 'dcs-ui', type: 'ui-base', name: 'Tracker DCS', path: '/dashboard', appIcon: './pwa-64x64.png', includeClientData: true, acceptsClientConfig: ['ui-notification', 'ui-control'],
    showPathInSidebar: false, headerContent: 'dashboard', navigationStyle: 'temporary', titleBarStyle: 'default',
    showReconnectNotification: true, notificationDisplayTime: 1, showDisconnectNotification: true, allowInstall: false
  },
  page('dcs-page', 'Power', '/power', 'flash', 1),
  page('dcs-page-guard', 'Temperature guard', '/guard', 'thermometer-alert', 2),
  {
    id: 'dcs-theme', type: 'ui-theme', name: 'Tracker DCS',
    colors: { surface: '#16324a', primary: '#1463a5', bgPage: '#e9edf1', groupBg: '#ffffff', groupOutline: '#cbd4dc' },
    sizes: { density: 'compact', pagePadding: '8px', groupGap: '8px', groupBorderRadius: '6px', widgetGap: '4px' }
  },
  group('dcs-group-hv', 'High voltage', '6', 1),
  group('dcs-group-lv', 'Low voltage', '6', 2),
  group('dcs-group-answers', 'Commands', '8', 3),
  group('dcs-group-room', 'Sensors', '4', 4),
  group('dcs-group-guard', 'Room temperature', '6', 1, 'dcs-page-guard')
]

const text = JSON.stringify(flows, null, 2) + '\n'
if (!process.argv.includes('--check')) {
  fs.writeFileSync(target, text)
} else if (fs.readFileSync(target, 'utf8') !== text) {
  console.error('nodered/flows.json is not what flows/build.js makes: run it')
  process.exit(1)
}
