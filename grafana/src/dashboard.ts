// A dashboard: its panels in rows, its variables, its links.

import { DashboardCursorSync, LegendDisplayMode, VariableHide, VariableRefresh, VariableSort, defaultDashboard } from '@grafana/schema';
import type { AnnotationQuery, Dashboard, DashboardLink, Panel, RowPanel, VariableModel, VizLegendOptions } from '@grafana/schema';
import { archive, tag, uid } from './names';

/** The width of Grafana's grid. */
export const columns = 24;

export interface Row {
  /** In units of 30 px and a gap. */
  height: number;
  /** Each panel's width; all together fill the grid. */
  panels: [width: number, panel: Panel][];
  /** Headline above the row. */
  headline?: string;
  /** Shut until somebody opens it: Grafana asks nothing for it before. Needs a headline. */
  folded?: boolean;
}

export const row = (height: number, ...panels: Row['panels']): Row => ({ height, panels });
export const under = (headline: string, r: Row): Row => ({ ...r, headline });
export const folded = (headline: string, r: Row): Row => ({ ...r, headline, folded: true });

/**
 * The legend that a curve has room for in 1280 px: beside it, below it, or below
 * it without numbers.
 */
function legend(w: number, h: number): VizLegendOptions {
  const calcs = h < 8 ? [] : ['lastNotNull', 'min', 'max'];
  return { showLegend: true, displayMode: h < 8 ? LegendDisplayMode.List : LegendDisplayMode.Table, placement: w >= 20 ? 'right' : 'bottom', calcs };
}

/** Gives each panel its place and its number. */
export function arrange(rows: Row[]): (Panel | RowPanel)[] {
  const placed: (Panel | RowPanel)[] = [];
  let [id, y] = [1, 0];
  for (const r of rows) {
    const panels: Panel[] = [];
    const head: RowPanel = { type: 'row', id: r.headline ? id++ : 0, title: r.headline ?? '', collapsed: r.folded ?? false, gridPos: { x: 0, y, w: columns, h: 1 }, panels: r.folded ? panels : [] };
    if (r.headline) {
      placed.push(head);
      y++;
    }
    let x = 0;
    for (const [w, panel] of r.panels) {
      const options = panel.type === 'timeseries' ? { ...panel.options, legend: legend(w, r.height) } : panel.options;
      panels.push({ ...panel, options, id: id++, gridPos: { x, y, w, h: r.height } });
      x += w;
    }
    if (r.folded) continue;
    placed.push(...panels);
    y += r.height;
  }
  return placed;
}

interface Choice {
  name: string;
  label: string;
  description: string;
  query: string;
  /** JavaScript's regular expression that values must match. */
  regex?: string;
  /** One alone instead of several and all. */
  single?: boolean;
}

/** A variable whose values the archive names. */
export function choice(c: Choice): VariableModel {
  return {
    type: 'query',
    name: c.name,
    label: c.label,
    description: c.description,
    datasource: archive,
    query: { query: c.query, refId: 'values' },
    regex: c.regex ?? '',
    refresh: VariableRefresh.onTimeRangeChanged,
    sort: VariableSort.naturalAsc,
    multi: !c.single,
    includeAll: !c.single,
    ...(!c.single && { current: { text: ['All'], value: ['$__all'] } }),
    hide: VariableHide.dontHide,
  };
}

/** A variable that is typed. */
export function box(name: string, label: string, description: string, value: string): VariableModel {
  const current = { text: value, value, selected: true };
  return { type: 'textbox', name, label, description, query: value, current, options: [current], hide: VariableHide.dontHide };
}

const link = (title: string, tooltip: string, more: Partial<DashboardLink>): DashboardLink => ({
  type: 'link',
  title,
  tooltip,
  icon: 'external link',
  tags: [],
  asDropdown: false,
  targetBlank: false,
  includeVars: false,
  keepTime: false,
  ...more,
});

const range = (of: string, title: string, from: string, refresh: string): DashboardLink =>
  link(title, `The last ${title}`, { url: `/d/${of}?from=${from}&to=now&refresh=${refresh}`, icon: 'bolt', includeVars: true });

/** Variables that mean the same on several dashboards are carried over. */
const links = (of: string): DashboardLink[] => [
  // They open with their own refresh, which goes by the time.
  link('Dashboards', 'The other dashboards, with the same time', { type: 'dashboards', tags: [tag], keepTime: true }),
  range(of, '5 min', 'now-5m', '5s'),
  range(of, '24 h', 'now-24h', '1m'),
  range(of, '30 days', 'now-30d', '15m'),
];

export interface Parts {
  uid: (typeof uid)[keyof typeof uid];
  title: string;
  description: string;
  rows: Row[];
  variables?: VariableModel[];
  annotations?: AnnotationQuery[];
  from?: string;
}

export function dashboard(p: Parts): Dashboard {
  return {
    uid: p.uid,
    title: p.title,
    description: p.description,
    tags: [tag],
    schemaVersion: defaultDashboard.schemaVersion,
    editable: true,
    graphTooltip: DashboardCursorSync.Crosshair,
    timezone: 'browser',
    time: { from: p.from ?? 'now-15m', to: 'now' },
    // By the width of the time that is shown: what is asked of 30 days is not asked every 5 s.
    refresh: 'auto',
    timepicker: { refresh_intervals: ['5s', '10s', '30s', '1m', '5m', '15m'] },
    links: links(p.uid),
    templating: { list: p.variables ?? [] },
    annotations: { list: p.annotations ?? [] },
    panels: arrange(p.rows),
  };
}
