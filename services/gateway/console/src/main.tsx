import { render } from 'preact'
import 'uplot/dist/uPlot.min.css'
import './style.css'
import { App } from './app'
import { connect } from './live/connect'
import { ask } from './session'

const root = document.getElementById('app')
if (root) {
  connect()
  void ask()
  render(<App />, root)
}
