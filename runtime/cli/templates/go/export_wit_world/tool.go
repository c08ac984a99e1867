// Package export_wit_world is what the tool does. What it takes and answers stands in wit/world.wit.
package export_wit_world

import (
	"fmt"
	"strings"

	wit "go.bytecodealliance.org/pkg/wit/types"
)

// Greet greets somebody, as often as wanted.
func Greet(name string, maybeTimes wit.Option[uint32]) wit.Result[string, string] {
	times := maybeTimes.SomeOr(1)
	if times < 1 {
		return wit.Err[string, string]("say how often: 1 or more")
	}
	if times > 100 {
		return wit.Err[string, string](fmt.Sprintf("%d times is too often", times))
	}
	greetings := make([]string, times)
	for i := range greetings {
		greetings[i] = "Hello, " + name + "!"
	}
	return wit.Ok[string, string](strings.Join(greetings, " "))
}
