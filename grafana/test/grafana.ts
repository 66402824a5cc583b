// Grafana's own library, of the version of the image: what its names are, and what
// it makes of answers.

import './browser';
import {
  FieldConfigProperty,
  applyFieldOverrides,
  createTheme,
  getDisplayProcessor,
  getFieldDisplayName,
  getFieldDisplayValues,
  standardFieldConfigEditorRegistry,
  standardTransformers,
  standardTransformersRegistry,
  toDataFrame,
  transformDataFrame,
} from '@grafana/data';
import type { DataFrame, DataTransformerConfig, DisplayValue, FieldConfigSource } from '@grafana/data';
import type { Panel } from '@grafana/schema';

export { FieldConfigProperty, fieldColorModeRegistry, fieldMatchers, fieldReducers, getValueFormats, rangeUtil } from '@grafana/data';

// Two names of one are in the list twice.
const byId = new Map(Object.values(standardTransformers).map((t) => [t.id, t]));
standardTransformersRegistry.setInit(() => [...byId.values()].map((transformation) => ({ id: transformation.id, name: transformation.name, transformation, editor: () => null, imageDark: '', imageLight: '' })));

// Grafana's own list comes with its pages: each property, taken as it is given.
const taken = (value: unknown): unknown => value;
standardFieldConfigEditorRegistry.setInit(() =>
  Object.values(FieldConfigProperty).map((id) => ({ id, path: id, name: id, editor: () => null, override: () => null, process: taken, shouldApply: () => true, settings: {} }) as never),
);
export const transformers = standardTransformersRegistry;

const theme = createTheme();

/** A series as the data source for InfluxDB names it: by its alias. */
export const answer = (refId: string, name: string, ...values: (number | null)[]): DataFrame =>
  toDataFrame({
    refId,
    name,
    fields: [
      { name: 'Time', type: 'time', values: values.map((_, i) => i * 1000) },
      { name: 'Value', type: 'number', values, config: { displayNameFromDS: name } },
    ],
  });

/** The names of the series that are left of answers. */
export async function shownSeries(p: Panel, answers: DataFrame[]): Promise<string[]> {
  const frames = await new Promise<DataFrame[]>((done, failed) => {
    transformDataFrame((p.transformations ?? []) as DataTransformerConfig[], answers).subscribe({ next: done, error: failed });
  });
  return frames.flatMap((f) => f.fields.filter((v) => v.name !== 'Time').map((v) => getFieldDisplayName(v, f, frames)));
}

const source = (p: Panel): FieldConfigSource => ({ defaults: (p.fieldConfig?.defaults ?? {}) as FieldConfigSource['defaults'], overrides: [] });

/** What a tile says of answers, text and colour. */
export function tile(p: Panel, answers: DataFrame[]): DisplayValue[] {
  const data = applyFieldOverrides({ data: answers, fieldConfig: source(p), replaceVariables: (text) => text, theme });
  const options = (p.options ?? {}) as { reduceOptions: { calcs: string[]; fields: string; values: boolean } };
  return getFieldDisplayValues({ fieldConfig: source(p), reduceOptions: options.reduceOptions, replaceVariables: (text) => text, theme, data }).map((v) => v.display);
}

/** What is shown of a value, text and colour. */
export function cell(p: Panel, column: string | undefined, value: number | null): DisplayValue {
  const config = { ...p.fieldConfig?.defaults };
  for (const o of p.fieldConfig?.overrides ?? []) {
    if (o.matcher.options === column) for (const { id, value: look } of o.properties) Object.assign(config, { [id]: look });
  }
  return getDisplayProcessor({ field: { type: 'number' as never, config: config as never }, theme })(value);
}

/** A colour as Grafana's dark theme has it. */
export const hue = (name: string): string => theme.visualization.getColorByName(name);
