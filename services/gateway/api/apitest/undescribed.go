package apitest

import (
	"fmt"
	"maps"
	"slices"
)

// Undescribed names what stands in a value that was read from JSON and not in
// the schema of that name.
func (s *Spec) Undescribed(schema string, v any) []string {
	return s.undescribed(schema, s.at("#/components/schemas/"+escape(schema)), v)
}

func (s *Spec) undescribed(path string, schema map[string]any, v any) (found []string) {
	if ref, is := schema["$ref"].(string); is {
		schema = s.at(ref)
	}
	switch v := v.(type) {
	case map[string]any:
		described, others := object(schema, "properties"), object(schema, "additionalProperties")
		if described == nil && others == nil {
			return nil // an object of which no more is said
		}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			inner := object(described, key)
			if inner == nil {
				inner = others
			}
			if inner == nil {
				found = append(found, path+"."+key)
				continue
			}
			found = append(found, s.undescribed(path+"."+key, inner, v[key])...)
		}
	case []any:
		for i, item := range v {
			found = append(found, s.undescribed(fmt.Sprintf("%s[%d]", path, i), object(schema, "items"), item)...)
		}
	}
	return found
}
