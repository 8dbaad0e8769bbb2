module outrider.test/guests/wapc

go 1.24
