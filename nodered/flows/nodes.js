// What flows/build.js puts flows together from.
'use strict'

const fs = require('node:fs')
const path = require('node:path')

const file = (name) => fs.readFileSync(path.join(__dirname, name), 'utf8').trimEnd()

const COLOURS = ['#1463a5', '#d97706', '#15803d', '#9333c8', '#b4234a', '#0f8b8d', '#6b7280', '#a16207', '#4d7c0f']

const env = (name, value, type = 'str') => ({ name, type, value })
const topic = (end, device = '${DEVICE}') => `\${DCS_TOPIC_ROOT}/${device}/${end}`

// QoS 1 for answers alone: a reading or a state that is lost with the connection
// comes again with the next one, and a broker may ration what it keeps for us.
function mqttIn (z, id, topic, x, y, wires) {
  const qos = topic.startsWith('${ACK') ? '1' : '0'
  return { id, type: 'mqtt in', z, name: '', topic, qos, datatype: 'utf8', broker: 'dcs-broker', nl: false, rap: true, rh: 0, inputs: 0, x, y, wires: [wires] }
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
const inGroup = (group) => ({ name: 'GROUP', type: 'ui-group', value: group, ui: { type: 'conf-types' } })
const asked = (group) => [
  env('DEVICE', ''),
  env('TITLE', ''),
  inGroup(group)
]
const hidden = (name, value) => ({ ...env(name, value, 'env'), ui: { type: 'none' } })
const topics = (...ends) => ends.map((e) => hidden(e.toUpperCase(), topic(e)))

module.exports = { asked, chart, code, env, hidden, inGroup, mqttIn, template, tick, topic, topics }
