// Package export_wit_world makes slugs of titles. What it takes and answers stands in wit/world.wit.
package export_wit_world

import (
	"regexp"
	"strings"

	wit "go.bytecodealliance.org/pkg/wit/types"
)

var word = regexp.MustCompile("[a-z0-9]+")

// Slug makes a slug of a title.
func Slug(title string, maybeWords wit.Option[uint32]) wit.Result[string, string] {
	words := word.FindAllString(strings.ToLower(title), -1)
	if len(words) == 0 {
		return wit.Err[string, string]("the title has no letter or digit of ASCII")
	}
	most := min(int(maybeWords.SomeOr(uint32(len(words)))), len(words))
	return wit.Ok[string, string](strings.Join(words[:most], "-"))
}
