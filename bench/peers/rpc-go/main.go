// grpc-go with the arguments of bench_rpc, and as a peer of the tests: bytes as they are, no protobuf.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

const most = 64 << 20

type raw struct{}

func (raw) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }
func (raw) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = append([]byte(nil), data...)
	return nil
}
func (raw) Name() string { return "proto" }

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "rpc-go:", err)
		os.Exit(2)
	}
}

func echo(_ any, stream grpc.ServerStream) error {
	for {
		var message []byte
		err := stream.RecvMsg(&message)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := stream.SendMsg(&message); err != nil {
			return err
		}
	}
}

func serve() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	server := grpc.NewServer(grpc.ForceServerCodec(raw{}), grpc.UnknownServiceHandler(echo),
		grpc.MaxRecvMsgSize(most), grpc.MaxSendMsgSize(most))
	fmt.Println(listener.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		server.GracefulStop()
	}()
	check(server.Serve(listener))
}

func unary(conn *grpc.ClientConn, calls, atOnce int) {
	var wg sync.WaitGroup
	begin := time.Now()
	for i := 0; i < atOnce; i++ {
		wg.Add(1)
		go func(n int) {
			defer wg.Done()
			in, out := make([]byte, 100), []byte(nil)
			for ; n > 0; n-- {
				check(conn.Invoke(context.Background(), "/t.S/Echo", &in, &out))
			}
		}(calls / atOnce)
	}
	wg.Wait()
	fmt.Printf("%.0f calls/s\n", float64(calls/atOnce*atOnce)/time.Since(begin).Seconds())
}

func stream(conn *grpc.ClientConn, messages, size int) {
	desc := &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}
	begin := time.Now()
	call, err := conn.NewStream(context.Background(), desc, "/t.S/Echo")
	check(err)
	go func() {
		in := make([]byte, size)
		for i := 0; i < messages; i++ {
			check(call.SendMsg(&in))
		}
		check(call.CloseSend())
	}()
	total := 0
	for {
		var out []byte
		err := call.RecvMsg(&out)
		if errors.Is(err, io.EOF) {
			break
		}
		check(err)
		total += len(out)
	}
	fmt.Printf("%.1f MB/s\n", float64(total)/1e6/time.Since(begin).Seconds())
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == "server" {
		serve()
		return
	}
	if len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "usage: rpc-go server | unary ADDRESS CALLS AT_ONCE | stream ADDRESS MESSAGES BYTES")
		os.Exit(2)
	}
	first, _ := strconv.Atoi(os.Args[3])
	second, _ := strconv.Atoi(os.Args[4])
	conn, err := grpc.NewClient(os.Args[2], grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{}), grpc.MaxCallRecvMsgSize(most), grpc.MaxCallSendMsgSize(most)))
	check(err)
	if os.Args[1] == "stream" {
		stream(conn, first, second)
	} else {
		unary(conn, first, second)
	}
}
