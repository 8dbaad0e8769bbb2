// The conformance guest (see tests/guests/README.md) in plain Go, with the waPC ABI declared by hand.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"strconv"
	"strings"
	"unsafe"
)

//go:wasmimport wapc __guest_request
func guestRequest(operation, payload unsafe.Pointer)

//go:wasmimport wapc __guest_response
func guestResponse(at unsafe.Pointer, length uint32)

//go:wasmimport wapc __guest_error
func guestError(at unsafe.Pointer, length uint32)

//go:wasmimport wapc __host_call
func hostCallImport(binding unsafe.Pointer, bindingLen uint32, space unsafe.Pointer, spaceLen uint32,
	operation unsafe.Pointer, operationLen uint32, payload unsafe.Pointer, payloadLen uint32) int32

//go:wasmimport wapc __host_response_len
func hostResponseLen() uint32

//go:wasmimport wapc __host_response
func hostResponse(to unsafe.Pointer)

//go:wasmimport wapc __host_error_len
func hostErrorLen() uint32

//go:wasmimport wapc __host_error
func hostError(to unsafe.Pointer)

func pointer(b []byte) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(b)) }

// A buffer that has an address even when it is empty.
func room(length uint32) []byte { return make([]byte, length, length+1) }

func hostCall(space, operation string, payload []byte) ([]byte, error) {
	binding, s, o := []byte("outrider"), []byte(space), []byte(operation)
	p := append(room(0), payload...)
	ok := hostCallImport(pointer(binding), uint32(len(binding)), pointer(s), uint32(len(s)),
		pointer(o), uint32(len(o)), pointer(p), uint32(len(p)))
	if ok == 1 {
		answer := room(hostResponseLen())
		hostResponse(pointer(answer))
		return answer, nil
	}
	text := room(hostErrorLen())
	hostError(pointer(text))
	return nil, errors.New(string(text))
}

var counted int

var operations map[string]func([]byte) ([]byte, error)

func init() {
	operations = map[string]func([]byte) ([]byte, error){
		"info": func([]byte) ([]byte, error) {
			return []byte(`{"name":"go-wapc","version":"1.0.0","api":"1","operations":["info",` +
				`"subscriptions","init","process","reconfigure","close","host","read","write","echo","fail","config","note","count","trap"]}`), nil
		},
		"subscriptions": func([]byte) ([]byte, error) {
			return []byte(`{"topics":[{"pattern":"test.ping","kind":"event"}]}`), nil
		},
		"init":        configure,
		"reconfigure": configure,
		"close":       func([]byte) ([]byte, error) { return hostCall("log", "info", []byte("closed")) },
		"process":     process,
		"host":        host,
		"read":        func(name []byte) ([]byte, error) { return os.ReadFile(string(name)) },
		"write": func(input []byte) ([]byte, error) {
			name, content, _ := bytes.Cut(input, []byte("\n"))
			return nil, os.WriteFile(string(name), content, 0o600)
		},
		"echo": func(input []byte) ([]byte, error) { return input, nil },
		"fail":    func([]byte) ([]byte, error) { return nil, errors.New("asked to fail") },
		"config":  func(key []byte) ([]byte, error) { return hostCall("config", "get", key) },
		"note":    func(text []byte) ([]byte, error) { return hostCall("log", "info", text) },
		"count": func([]byte) ([]byte, error) {
			counted++
			return []byte(strconv.Itoa(counted)), nil
		},
		"trap": func([]byte) ([]byte, error) { panic("asked to trap") },
	}
}

func configure(config []byte) ([]byte, error) {
	var object map[string]any
	return nil, json.Unmarshal(config, &object)
}

// "namespace.operation", a line break, the payload.
func host(input []byte) ([]byte, error) {
	name, payload, _ := bytes.Cut(input, []byte("\n"))
	space, operation, _ := strings.Cut(string(name), ".")
	return hostCall(space, operation, payload)
}

func process(message []byte) ([]byte, error) {
	var envelope struct {
		Data json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(message, &envelope); err != nil {
		return nil, err
	}
	if envelope.Data == nil {
		return nil, errors.New("the message has no data")
	}
	payload, err := json.Marshal(map[string]any{"topic": "test.echo", "data": envelope.Data})
	if err != nil {
		return nil, err
	}
	_, err = hostCall("bus", "publish", payload)
	return nil, err
}

//go:wasmexport __guest_call
func guestCall(nameLen, payloadLen uint32) int32 {
	name, payload := room(nameLen), room(payloadLen)
	guestRequest(pointer(name), pointer(payload))
	operation, known := operations[string(name)]
	var answer []byte
	err := errors.New("no such operation: " + string(name))
	if known {
		answer, err = operation(payload)
	}
	if err != nil {
		text := append(room(0), err.Error()...)
		guestError(pointer(text), uint32(len(text)))
		return 0
	}
	answer = append(room(0), answer...)
	guestResponse(pointer(answer), uint32(len(answer)))
	return 1
}

func main() {}
