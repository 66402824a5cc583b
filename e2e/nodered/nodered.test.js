// One process, one test after the other: they drive the same channel.
import './page.js'
import './faults.js'
import './guard.js'
import './editor.js'
import './legacy.js'
