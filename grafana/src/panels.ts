// Panels, each typed by Grafana's own schema.

import {
  AxisPlacement,
  BarGaugeDisplayMode,
  BarGaugeNamePlacement,
  BarGaugeSizing,
  BarGaugeValueMode,
  BigValueColorMode,
  BigValueGraphMode,
  BigValueJustifyMode,
  BigValueTextMode,
  GraphDrawStyle,
  LegendDisplayMode,
  LineInterpolation,
  PercentChangeColorMode,
  ScaleDistribution,
  SortOrder,
  TableCellHeight,
  TooltipDisplayMode,
  VisibilityMode,
  VizOrientation,
} from '@grafana/schema';
import type { DataTransformerConfig, FieldConfig, Panel, ThresholdsConfig, ValueMapping } from '@grafana/schema';
import type { Options as BarGaugeOptions } from '@grafana/schema/dist/esm/raw/composable/bargauge/panelcfg/x/BarGaugePanelCfg_types.gen';
import type { Options as StatOptions } from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type { FieldConfig as TimelineField, Options as TimelineOptions } from '@grafana/schema/dist/esm/raw/composable/statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen';
import type { FieldConfig as TableField, Options as TableOptions } from '@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen';
import type { Options as TextOptions } from '@grafana/schema/dist/esm/raw/composable/text/panelcfg/x/TextPanelCfg_types.gen';
import type { FieldConfig as GraphField, Options as GraphOptions } from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';
import { byName, byThresholds, noValue, plain, unit } from './fields';
import type { Override } from './fields';
import type { Target } from './influx';
import { archive, origin } from './names';

/** The version whose types these are. */
const pluginVersion = '12.1.1';

export interface Common {
  title: string;
  /** What the panel says, and what it does not. */
  description: string;
  targets: Target[];
  unit: string;
  decimals?: number;
  mappings?: ValueMapping[];
  overrides?: Override[];
  transformations?: DataTransformerConfig[];
  /** Variable for each of whose values the panel is there once. */
  repeat?: string;
  /** What to say instead of a dash where there is nothing. */
  nothing?: string;
  /** The shortest time that is one point. */
  interval?: string;
}

/** What panels of all kinds have. */
type Defaults<T> = Omit<FieldConfig, 'custom'> & { custom?: Partial<T> };

function panel<T>(type: string, p: Common, { custom, ...defaults }: Defaults<T>, options: Record<string, unknown>): Panel {
  return {
    type,
    pluginVersion,
    title: p.title,
    description: p.description,
    datasource: archive,
    targets: p.targets,
    ...(p.interval && { interval: p.interval }),
    ...(p.repeat && { repeat: p.repeat, repeatDirection: 'v' as const }),
    fieldConfig: {
      defaults: { unit: p.unit, noValue: p.nothing ?? noValue, mappings: p.mappings ?? [], ...(p.decimals !== undefined && { decimals: p.decimals }), ...defaults, ...(custom && { custom: { ...custom } as Record<string, unknown> }) },
      overrides: p.overrides ?? [],
    },
    options,
    ...(p.transformations && { transformations: p.transformations }),
  };
}

export interface Chart extends Common {
  /** Gaps longer than this stay gaps, ms: several periods of what is shown. */
  gap: number;
  min?: number;
  max?: number;
  thresholds?: ThresholdsConfig;
  log?: boolean;
  draw?: 'steps' | 'points';
}

/** The smallest and largest values of withEnvelope: dotted, in the colour of their mean, and not in the legend. */
const envelope: Override = {
  matcher: { id: 'byFrameRefID', options: 'B' },
  properties: [
    { id: 'custom.lineStyle', value: { fill: 'dash', dash: [2, 4] } },
    { id: 'custom.hideFrom', value: { legend: true, tooltip: true, viz: false } },
  ],
};

/** Who asks several devices for several fields gets each with each: what is not there needs no legend. */
const absent: Override = {
  matcher: { id: 'byValue', options: { reducer: 'allIsNull', op: 'gte', value: 0 } },
  properties: [{ id: 'custom.hideFrom', value: { legend: true, tooltip: true, viz: true } }],
};

/** Curves over time. */
export function chart(c: Chart): Panel {
  const extremes = c.targets.some((t) => t.refId === 'B' && t.query.includes('min('));
  const overrides = [...(extremes ? [envelope] : []), ...(c.overrides ?? []), absent];
  return panel<GraphField>(
    'timeseries',
    { ...c, overrides },
    {
      color: byName,
      thresholds: c.thresholds ?? plain,
      ...(c.min !== undefined && { min: c.min }),
      ...(c.max !== undefined && { max: c.max }),
      custom: {
        drawStyle: c.draw === 'points' ? GraphDrawStyle.Points : GraphDrawStyle.Line,
        lineInterpolation: c.draw === 'steps' ? LineInterpolation.StepAfter : LineInterpolation.Linear,
        lineWidth: 1,
        pointSize: 4,
        showPoints: c.draw === 'points' ? VisibilityMode.Always : VisibilityMode.Auto,
        fillOpacity: 0,
        spanNulls: c.gap,
        axisPlacement: AxisPlacement.Auto,
        scaleDistribution: c.log ? { type: ScaleDistribution.Log, log: 10 } : { type: ScaleDistribution.Linear },
      },
    },
    {
      // arrange() knows how much room there is for it.
      legend: { showLegend: true, displayMode: LegendDisplayMode.List, placement: 'bottom', calcs: [] },
      tooltip: { mode: TooltipDisplayMode.Multi, sort: SortOrder.None },
    } satisfies GraphOptions,
  );
}

export interface Stat extends Common {
  thresholds?: ThresholdsConfig;
  /** Which fields: numbers unless told otherwise. */
  fields?: string;
}

/** For stats of text: all but the time. */
export const textFields = '/^(?!Time$)/';

/** The newest value of each series, large. */
export function stat(s: Stat): Panel {
  return panel('stat', s, { color: byThresholds, thresholds: s.thresholds ?? plain }, {
    reduceOptions: { calcs: ['lastNotNull'], fields: s.fields ?? '', values: false },
    orientation: VizOrientation.Auto,
    textMode: BigValueTextMode.ValueAndName,
    colorMode: BigValueColorMode.Value,
    graphMode: BigValueGraphMode.None,
    justifyMode: BigValueJustifyMode.Auto,
    percentChangeColorMode: PercentChangeColorMode.Standard,
    showPercentChange: false,
    wideLayout: true,
    text: { titleSize: 14, valueSize: 20 },
  } satisfies StatOptions);
}

/** The newest value of each series as a bar. */
export function bars(s: Stat & { min: number; max: number }): Panel {
  return panel('bargauge', s, { color: byThresholds, thresholds: s.thresholds ?? plain, min: s.min, max: s.max }, {
    reduceOptions: { calcs: ['lastNotNull'], fields: '', values: false },
    orientation: VizOrientation.Horizontal,
    displayMode: BarGaugeDisplayMode.Basic,
    valueMode: BarGaugeValueMode.Color,
    namePlacement: BarGaugeNamePlacement.Left,
    sizing: BarGaugeSizing.Auto,
    minVizHeight: 12,
    minVizWidth: 8,
    maxVizHeight: 24,
    showUnfilled: true,
    legend: { showLegend: false, displayMode: LegendDisplayMode.Hidden, placement: 'bottom', calcs: [] },
  } satisfies BarGaugeOptions);
}

/** What was when, as coloured bars: flags with their gaps, and states, which hold until the next. */
export function timeline(t: Common & { gap?: number | true }): Panel {
  // Grafana's state timeline has spanNulls, its schema has not.
  return panel<TimelineField & Pick<GraphField, 'spanNulls'>>('state-timeline', t, { color: byThresholds, thresholds: plain, custom: { fillOpacity: 80, lineWidth: 0, spanNulls: t.gap ?? false } }, {
    mergeValues: true,
    showValue: VisibilityMode.Auto,
    alignValue: 'left',
    rowHeight: 0.8,
    legend: { showLegend: false, displayMode: LegendDisplayMode.List, placement: 'bottom', calcs: [] },
    tooltip: { mode: TooltipDisplayMode.Single, sort: SortOrder.None },
  } satisfies TimelineOptions);
}

/** Rows and columns; columns without an override are shown as they are. */
export function table(t: Common & { filter?: boolean }): Panel {
  return panel<TableField>('table', t, { color: byThresholds, thresholds: plain, custom: { filterable: t.filter ?? false } }, {
    showHeader: true,
    cellHeight: TableCellHeight.Sm,
    frameIndex: 0,
    footer: { show: false, countRows: false, reducer: [] },
  } satisfies TableOptions);
}

/** A word to the reader. */
export function note(title: string, content: string): Panel {
  return {
    type: 'text',
    pluginVersion,
    title,
    description: 'Written in src/; nothing is measured here.',
    fieldConfig: { defaults: { unit: unit.none }, overrides: [] },
    options: { mode: 'markdown' as TextOptions['mode'], content } satisfies TextOptions,
  };
}

/** A link in a note to a page of the gateway's, beside Grafana. */
export const outside = (path: string, words: string): string => `<a href="${origin}${path}" target="_blank">${words}</a>`;
