module crossplane-go

go 1.21

require github.com/nginxinc/nginx-go-crossplane v0.4.89
