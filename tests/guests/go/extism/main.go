// The conformance guest (see tests/guests/README.md) on the public Extism PDK for Go.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"strconv"

	"github.com/extism/go-pdk"
)

//go:wasmimport extism:host/user outrider_publish
func outriderPublish(topic uint64, data uint64) uint64

//go:wasmimport extism:host/user outrider_call
func outriderCall(operation uint64, input uint64) uint64

//go:wasmimport extism:host/user outrider_error
func outriderError() uint64

func failed(err error) int32 {
	pdk.SetError(err)
	return 1
}

func answer(text string) int32 {
	pdk.OutputString(text)
	return 0
}

//go:wasmexport info
func info() int32 {
	return answer(`{"name":"go-extism","version":"1.0.0","api":"1"}`)
}

//go:wasmexport subscriptions
func subscriptions() int32 {
	return answer(`{"topics":[{"pattern":"test.ping","kind":"event"}]}`)
}

//go:wasmexport init
func initialise() int32 {
	var config map[string]any
	if err := json.Unmarshal(pdk.Input(), &config); err != nil {
		return failed(err)
	}
	return 0
}

//go:wasmexport reconfigure
func reconfigure() int32 { return initialise() }

//go:wasmexport close
func closed() int32 {
	pdk.Log(pdk.LogInfo, "closed")
	return 0
}

func block(handle uint64) []byte {
	m := pdk.FindMemory(handle)
	return m.ReadBytes()
}

//go:wasmexport process
func process() int32 {
	var envelope struct {
		Data json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(pdk.Input(), &envelope); err != nil {
		return failed(err)
	}
	if envelope.Data == nil {
		return failed(errors.New("the message has no data"))
	}
	topic := pdk.AllocateString("test.echo")
	data := pdk.AllocateBytes(envelope.Data)
	if handle := outriderPublish(topic.Offset(), data.Offset()); handle != 0 {
		return failed(errors.New(string(block(handle))))
	}
	return 0
}

//go:wasmexport echo
func echo() int32 {
	pdk.Output(pdk.Input())
	return 0
}

//go:wasmexport fail
func fail() int32 {
	return failed(errors.New("asked to fail"))
}

//go:wasmexport config
func config() int32 {
	value, ok := pdk.GetConfig(pdk.InputString())
	if !ok {
		return failed(errors.New("no such key"))
	}
	return answer(value)
}

//go:wasmexport host
func host() int32 {
	name, rest, _ := bytes.Cut(pdk.Input(), []byte("\n"))
	operation := pdk.AllocateBytes(name)
	var question uint64
	if len(rest) > 0 {
		m := pdk.AllocateBytes(rest)
		question = m.Offset()
	}
	if result := outriderCall(operation.Offset(), question); result != 0 {
		pdk.Output(block(result))
		return 0
	}
	if text := outriderError(); text != 0 {
		return failed(errors.New(string(block(text))))
	}
	return 0
}

//go:wasmexport http
func request() int32 {
	response := pdk.NewHTTPRequest(pdk.MethodGet, pdk.InputString()).Send()
	return answer(strconv.Itoa(int(response.Status())) + " " + string(response.Body()))
}

//go:wasmexport read
func read() int32 {
	content, err := os.ReadFile(pdk.InputString())
	if err != nil {
		return failed(err)
	}
	pdk.Output(content)
	return 0
}

//go:wasmexport write
func write() int32 {
	name, content, _ := bytes.Cut(pdk.Input(), []byte("\n"))
	if err := os.WriteFile(string(name), content, 0o600); err != nil {
		return failed(err)
	}
	return 0
}

//go:wasmexport note
func note() int32 {
	pdk.Log(pdk.LogInfo, pdk.InputString())
	return 0
}

var counted int

//go:wasmexport count
func count() int32 {
	counted++
	return answer(strconv.Itoa(counted))
}

//go:wasmexport vars
func vars() int32 {
	n := 0
	if old := pdk.GetVar("n"); old != nil {
		n, _ = strconv.Atoi(string(old))
	}
	next := strconv.Itoa(n + 1)
	pdk.SetVar("n", []byte(next))
	return answer(next)
}

//go:wasmexport trap
func trap() int32 {
	panic("asked to trap")
}

func main() {}
