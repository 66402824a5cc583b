package main

import (
	"testing"

	"trackerdcs/pkg/service/servicetest"
)

func TestREADME(t *testing.T) { servicetest.README(t, &config{}, "README.md") }
