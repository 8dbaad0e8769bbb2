// The conformance guest (see tests/guests/README.md) in Go over waPC, in protobuf with google.golang.org/protobuf.
package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unsafe"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"guest/messages"
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

func hostCall(name string, payload []byte) ([]byte, error) {
	space, operation, _ := strings.Cut(name, ".")
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
		"info": info,
		"subscriptions": func([]byte) ([]byte, error) {
			return proto.Marshal(&messages.Subscriptions{Topics: []*messages.Subscription{
				{Pattern: "test.ping", Kind: messages.Subscription_event},
			}})
		},
		"init": func(config []byte) ([]byte, error) {
			return nil, proto.Unmarshal(config, &structpb.Struct{})
		},
		"process":  process,
		"services": services,
		"echo":     func(input []byte) ([]byte, error) { return input, nil },
		"fail":     func([]byte) ([]byte, error) { return nil, errors.New("asked to fail") },
		"config":   func(key []byte) ([]byte, error) { return hostCall("config.get", key) },
		"note":     func(text []byte) ([]byte, error) { return hostCall("log.info", text) },
		"count": func([]byte) ([]byte, error) {
			counted++
			return []byte(strconv.Itoa(counted)), nil
		},
		"trap": func([]byte) ([]byte, error) { panic("asked to trap") },
	}
}

func info([]byte) ([]byte, error) {
	names := []string{}
	for name := range operations {
		names = append(names, name)
	}
	return proto.Marshal(&messages.Info{Name: "go-protobuf-wapc", Version: "1.0.0", Api: "1", Operations: names})
}

func process(message []byte) ([]byte, error) {
	envelope := &messages.Envelope{}
	if err := proto.Unmarshal(message, envelope); err != nil {
		return nil, err
	}
	var data *structpb.Value
	switch payload := envelope.Payload.(type) {
	case *messages.Envelope_Data:
		data = payload.Data
	case *messages.Envelope_Metrics:
		m := payload.Metrics
		responses := map[string]any{}
		for class, n := range m.Responses {
			responses[class] = float64(n)
		}
		object, err := structpb.NewStruct(map[string]any{
			"id": m.Id, "cause": float64(envelope.Id), "status_ok": m.StatusOk, "active": float64(m.Active),
			"requests": float64(m.Requests), "requests_per_second": m.RequestsPerSecond, "responses": responses,
		})
		if err != nil {
			return nil, err
		}
		data = structpb.NewStructValue(object)
	default:
		return nil, errors.New("the message has no data")
	}
	question, err := proto.Marshal(&messages.Publish{Topic: "test.echo", Data: data})
	if err != nil {
		return nil, err
	}
	_, err = hostCall("bus.publish", question)
	return nil, err
}

func ask(name string, question []byte, answer proto.Message) error {
	bytes, err := hostCall(name, question)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return proto.Unmarshal(bytes, answer)
}

func services([]byte) ([]byte, error) {
	kept := structpb.NewNumberValue(7)
	set, err := proto.Marshal(&messages.KvSet{Key: "pb.json", Stored: &messages.KvSet_Value{Value: kept}})
	if err != nil {
		return nil, err
	}
	if _, err := hostCall("kv.set", set); err != nil {
		return nil, err
	}
	stored, list, gone, clock := &messages.KvGetAnswer{}, &messages.KvListAnswer{}, &messages.KvDeleteAnswer{},
		&messages.ClockAnswer{}
	metric, err := proto.Marshal(&messages.Metric{Name: "seen", Value: 2.5, Labels: map[string]string{"kind": "a"}})
	if err == nil {
		_, err = hostCall("metric.counter", metric)
	}
	err = errors.Join(err, ask("kv.get", []byte("pb.json"), stored), ask("kv.list", []byte("pb."), list),
		ask("kv.delete", []byte("pb.json"), gone), ask("clock.now", nil, clock))
	if err != nil {
		return nil, err
	}
	if !proto.Equal(stored.GetValue(), kept) || len(list.Keys) != 1 || !gone.Found || clock.UnixNs == 0 {
		return nil, fmt.Errorf("not what was expected: %v %v %v %v", stored, list, gone, clock)
	}
	return []byte("all services answered"), nil
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
