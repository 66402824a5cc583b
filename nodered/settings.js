// Settings of Node-RED, all from the environment: see README.md.
'use strict'

const path = require('node:path')
const { oldAddresses } = require('./lib/addresses.js')

const env = process.env
const root = env.NODERED_HTTP_ROOT || '/nodered'

module.exports = {
  uiHost: env.NODERED_HOST || '127.0.0.1',
  uiPort: Number(env.NODERED_PORT || 1880),
  httpAdminRoot: root,
  httpNodeRoot: root,
  // What nothing above has answered: the addresses from before there was a prefix.
  httpStatic: [{ path: path.join(__dirname, 'static'), root: '/', middleware: oldAddresses(root) }],

  userDir: env.NODERED_USER_DIR,
  // Whole: a bare name would be looked for in the working directory first.
  flowFile: path.resolve(env.NODERED_USER_DIR || '', env.NODERED_FLOW_FILE || 'flows.json'),
  flowFilePretty: true,
  credentialSecret: env.NODERED_CREDENTIAL_SECRET,

  // Everything the flows need is in the lock file: nothing is fetched at run time.
  externalModules: {
    autoInstall: false,
    palette: { allowInstall: false, allowUpload: false },
    modules: { allowInstall: false }
  },
  functionExternalModules: false,
  telemetry: { enabled: false, updateNotification: false },
  diagnostics: { enabled: false, ui: false },
  runtimeState: { enabled: false, ui: false },
  editorTheme: { tours: false },

  // What has to outlive a restart: that a guard has tripped.
  contextStorage: {
    default: { module: 'memory' },
    disk: { module: 'localfilesystem', config: { flushInterval: 1 } }
  },

  mqttReconnectTime: 2000,
  exportGlobalContextKeys: false,
  logging: { console: { level: env.NODERED_LOG_LEVEL || 'warn', metrics: false, audit: false } },

  // Below the prefix: old dashboard (ui_* nodes) under /ui, Dashboard 2 under /dashboard.
  ui: { path: 'ui' }
}
