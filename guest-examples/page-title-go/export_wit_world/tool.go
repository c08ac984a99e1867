// Package export_wit_world finds the title of a web page. What it takes and answers stands in wit/world.wit.
package export_wit_world

import (
	"fmt"
	"regexp"
	"strings"

	wit "go.bytecodealliance.org/pkg/wit/types"

	handler "wit_component/wasi_http_outgoing_handler"
	http "wit_component/wasi_http_types"
)

var (
	address = regexp.MustCompile(`^(https?)://([^/?#]+)([^#]*)`)
	heading = regexp.MustCompile(`(?i)<title[^>]*>([^<]*)</title`)
)

// PageTitle is the title of a web page.
func PageTitle(url string) wit.Result[string, string] {
	page, err := get(url)
	if err != nil {
		return wit.Err[string, string](err.Error())
	}
	found := heading.FindStringSubmatch(page)
	if found == nil || strings.TrimSpace(found[1]) == "" {
		return wit.Err[string, string]("the page has no title")
	}
	return wit.Ok[string, string](strings.Join(strings.Fields(found[1]), " "))
}

func get(url string) (string, error) {
	parts := address.FindStringSubmatch(url)
	if parts == nil {
		return "", fmt.Errorf("a URL begins with https:// or http://")
	}
	scheme, path := http.MakeSchemeHttps(), parts[3]
	if parts[1] == "http" {
		scheme = http.MakeSchemeHttp()
	}
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	request := http.MakeOutgoingRequest(http.MakeFields())
	request.SetScheme(wit.Some(scheme))
	request.SetAuthority(wit.Some(parts[2]))
	request.SetPathWithQuery(wit.Some(path))
	sent := handler.Handle(request, wit.None[*http.RequestOptions]())
	if sent.IsErr() {
		return "", told(url, sent.Err())
	}
	sent.Ok().Subscribe().Block()
	answer := sent.Ok().Get().Some().Ok()
	if answer.IsErr() {
		return "", told(url, answer.Err())
	}
	response := answer.Ok()
	if response.Status() != 200 {
		return "", fmt.Errorf("the page answered with the status %d", response.Status())
	}
	stream := response.Consume().Ok().Stream().Ok()
	var page strings.Builder
	for {
		piece := stream.BlockingRead(65536)
		if piece.IsErr() {
			return page.String(), nil
		}
		page.Write(piece.Ok())
	}
}

// told is what goes wrong on the way, in words.
func told(url string, code http.ErrorCode) error {
	if code.Tag() == http.ErrorCodeHttpRequestDenied {
		return fmt.Errorf("the tool may not ask %s", url)
	}
	return fmt.Errorf("%s cannot be reached", url)
}
