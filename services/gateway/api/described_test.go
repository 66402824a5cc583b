package api_test

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/auditlog"
	"trackerdcs/pkg/runs"
	"trackerdcs/pkg/wire"
)

// filled gives every field a value, so that none is left out of the JSON.
func filled(v reflect.Value) {
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(now))
		return
	case wire.Value:
		v.Set(reflect.ValueOf(wire.Known(0.5)))
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		filled(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			filled(v.Field(i))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		filled(v.Index(0))
	case reflect.Map:
		item := reflect.New(v.Type().Elem()).Elem()
		filled(item)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("x"), item)
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(1)
	case reflect.Float64:
		v.SetFloat(1)
	case reflect.Interface:
		v.Set(reflect.ValueOf("x"))
	}
}

// All that is sent is described, field by field.
func TestAllFieldsAreDescribed(t *testing.T) {
	spec, err := loaded()
	require.NoError(t, err)
	for schema, v := range map[string]any{
		"RunRecord": new(wire.Run), "RunDocument": new(runs.Run), "NamedConfiguration": new(runs.NamedConfiguration), "Entry": new(auditlog.Entry),
		"Ack": new(wire.Ack), "State": new(wire.State),
	} {
		filled(reflect.ValueOf(v).Elem())
		switch v := v.(type) {
		case *wire.Run:
			v.State = wire.RunRunning
		case *auditlog.Entry:
			v.Kind = auditlog.Command
		}
		body, err := json.Marshal(v)
		require.NoError(t, err)
		require.NoError(t, spec.CheckSchema(schema, body))
		var read any
		require.NoError(t, json.Unmarshal(body, &read))
		assert.Empty(t, spec.Undescribed(schema, read))
	}
}
