// Puts flows.json together from the files of this folder.
//   node flows/build.js          writes it
//   node flows/build.js --check  fails when it is not up to date
'use strict'

const fs = require('node:fs')
const path = require('node:path')

const target = path.join(__dirname, '..', 'flows.json')
const file = (name) => fs.readFileSync(path.join(__dirname, name), 'utf8').trimEnd()

const COLOURS = ['#1463a5', '#d97706', '#15803d', '#9333c8', '#b4234a', '#0f8b8d', '#6b7280', '#a16207', '#4d7c0f']

// The demonstrator's devices; order is the order on the page.
const supplies = [
  { device: 'hv', title: 'High voltage', group: 'dcs-group-hv' },
  { device: 'lv', title: 'Low voltage', group: 'dcs-group-lv' }
]
const sensors = [
  { device: 'dht_room', title: 'Room', group: 'dcs-group-room' },
  { device: 'sensor_1', title: 'Sensor 1', group: 'dcs-group-room' }
]

const env = (name, value, type = 'str') => ({ name, type, value })
const topic = (end, device = '${DEVICE}') => `\${DCS_TOPIC_ROOT}/${device}/${end}`

function mqttIn (z, id, topic, x, y, wires) {
  return { id, type: 'mqtt in', z, name: '', topic, qos: '1', datatype: 'utf8', broker: 'dcs-broker', nl: false, rap: true, rh: 0, inputs: 0, x, y, wires: [wires] }
}

function code (z, id, name, source, outputs, x, y, wires) {
  return { id, type: 'function', z, name, func: file(source), outputs, timeout: 0, noerr: 0, initialize: '', finalize: '', libs: [], x, y, wires }
}

function tick (z, id, seconds, x, y, wires) {
  return { id, type: 'inject', z, name: 'tick', props: [{ p: 'topic', vt: 'str' }], repeat: String(seconds), crontab: '', once: true, onceDelay: 0.1, topic: 'tick', x, y, wires: [wires] }
}

function template (z, id, name, group, order, source, x, y, wires) {
  return { id, type: 'ui-template', z, group, page: '', ui: '', name, order, width: 0, height: 0, head: '', format: file(source), storeOutMessages: false, passthru: false, resendOnRefresh: true, templateScope: 'local', className: '', x, y, wires: [wires] }
}

function chart (z, id, name, group, order, height, x, y) {
  return {
    id, type: 'ui-chart', z, group, name, label: '', order, chartType: 'line', interpolation: 'linear',
    category: 'series', categoryType: 'property',
    xAxisLabel: '', xAxisProperty: 'x', xAxisPropertyType: 'property', xAxisType: 'time', xAxisFormat: '{HH}:{mm}:{ss}', xAxisFormatType: 'custom', xmin: '', xmax: '',
    yAxisLabel: '', yAxisProperty: 'y', yAxisPropertyType: 'property', ymin: '', ymax: '', bins: 10,
    action: 'append', stackSeries: false, pointShape: 'false', pointRadius: 1, showLegend: false,
    removeOlder: '10', removeOlderUnit: '60', removeOlderPoints: '',
    colors: COLOURS, textColor: ['#3d4c5a'], textColorDefault: false, gridColor: ['#e2e7ec'], gridColorDefault: false,
    width: 0, height, className: 'dcs-chart', x, y, wires: [[]]
  }
}

// What a subflow is told by whoever puts it on a tab.
const asked = (group) => [
  env('DEVICE', ''),
  env('TITLE', ''),
  { name: 'GROUP', type: 'ui-group', value: group, ui: { type: 'conf-types' } }
]
const topics = (...ends) => ends.map((e) => ({ ...env(e.toUpperCase(), topic(e), 'env'), ui: { type: 'none' } }))

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
  const nodes = device(z, ['status', 'state', 'meta', 'ack'], 'panel.vue', 'panel', 4)
  nodes.find((n) => n.id === `${z}-panel`).wires = [[`${z}-command`]]
  return [
    {
      id: z, type: 'subflow', name: 'Power supply', category: 'dashboard', color: '#a6bbcf', icon: 'font-awesome/fa-bolt',
      info: 'One power supply on the page. DEVICE is its name on the bus, TITLE its name for people, GROUP where it stands. The output carries what was sent: wire it to "answers".',
      in: [], out: [{ x: 960, y: 180, wires: [{ id: `${z}-command`, port: 1 }] }], outputLabels: ['sent'],
      env: [...asked(supplies[0].group), ...topics('status', 'state', 'meta', 'ack')]
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

// One instance of a subflow on the tab.
function instance (type, { device, title, group }, i, x, y, wires) {
  return {
    id: `dcs-${device}`, type: `subflow:${type}`, z: 'dcs-tab', name: title,
    env: [env('DEVICE', device), env('TITLE', title), { name: 'GROUP', value: group, type: 'conf-type' }, { name: 'DB2_SF_ORDER', value: String(i + 1), type: 'str' }],
    x, y, wires
  }
}

const group = (id, name, width, order) =>
  ({ id, type: 'ui-group', name, page: 'dcs-page', width, height: 1, order, showTitle: false, className: '', visible: 'true', disabled: 'false', groupType: 'default' })

const flows = [
  {
    id: 'dcs-tab', type: 'tab', label: 'Power', disabled: false,
    info: 'The operators\' page, /nodered/dashboard/power. How it works and how to add a device: nodered/README.md.',
    env: [env('ACKS', topic('ack', '+'), 'env'), env('STATES', topic('state', '+'), 'env')]
  },
  ...supplySubflow(),
  ...sensorSubflow(),

  { id: 'dcs-note-1', type: 'comment', z: 'dcs-tab', name: 'One node a device. Copy one to add another.', info: '', x: 210, y: 40, wires: [] },
  ...supplies.map((s, i) => instance('dcs-supply', s, i, 140, 100 + 60 * i, [['dcs-answers']])),
  ...sensors.map((s, i) => instance('dcs-sensor', s, i, 140, 400 + 60 * i, [])),

  mqttIn('dcs-tab', 'dcs-in-acks', '${ACKS}', 130, 220, ['dcs-answers']),
  mqttIn('dcs-tab', 'dcs-in-states', '${STATES}', 130, 280, ['dcs-answers']),
  tick('dcs-tab', 'dcs-tick', 1, 130, 340, ['dcs-answers']),
  code('dcs-tab', 'dcs-answers', 'answers', 'answers.js', 1, 380, 160, [['dcs-answers-page']]),
  template('dcs-tab', 'dcs-answers-page', 'list of answers', 'dcs-group-answers', 1, 'answers.vue', 580, 160, []),
  {
    ...template('dcs-tab', 'dcs-style', 'style of the page', '', 1, 'page.css', 580, 220, []),
    page: 'dcs-page', templateScope: 'page:style'
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
  {
    id: 'dcs-page', type: 'ui-page', name: 'Power', ui: 'dcs-ui', path: '/power', icon: 'flash', layout: 'grid', theme: 'dcs-theme',
    breakpoints: [
      { name: 'Phone', px: '0', cols: '3' }, { name: 'Tablet', px: '576', cols: '6' },
      { name: 'Small desktop', px: '768', cols: '6' }, { name: 'Desktop', px: '1024', cols: '12' }
    ],
    order: 1, className: '', visible: 'true', disabled: 'false'
  },
  {
    id: 'dcs-theme', type: 'ui-theme', name: 'Tracker DCS',
    colors: { surface: '#16324a', primary: '#1463a5', bgPage: '#e9edf1', groupBg: '#ffffff', groupOutline: '#cbd4dc' },
    sizes: { density: 'compact', pagePadding: '8px', groupGap: '8px', groupBorderRadius: '6px', widgetGap: '4px' }
  },
  group('dcs-group-hv', 'High voltage', '6', 1),
  group('dcs-group-lv', 'Low voltage', '6', 2),
  group('dcs-group-answers', 'Commands', '8', 3),
  group('dcs-group-room', 'Sensors', '4', 4)
]

const text = JSON.stringify(flows, null, 2) + '\n'
if (!process.argv.includes('--check')) {
  fs.writeFileSync(target, text)
} else if (fs.readFileSync(target, 'utf8') !== text) {
  console.error('nodered/flows.json is not what flows/build.js makes: run it')
  process.exit(1)
}
