module outrider/bench/bus-go

go 1.22

require github.com/vardius/message-bus v1.1.5
