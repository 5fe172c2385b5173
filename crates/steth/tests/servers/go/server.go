// An HTTP server on Go's net/http: `server PORT`. Routes: see lab/runtimes.rs.
package main

import (
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

func main() {
	http.HandleFunc("/", func(response http.ResponseWriter, request *http.Request) {
		if request.URL.Path != "/" {
			http.NotFound(response, request)
			return
		}
		io.WriteString(response, "hello\n")
	})
	http.HandleFunc("/slow", func(response http.ResponseWriter, request *http.Request) {
		time.Sleep(50 * time.Millisecond)
		io.WriteString(response, "slow\n")
	})
	http.HandleFunc("/status/", func(response http.ResponseWriter, request *http.Request) {
		status, err := strconv.Atoi(strings.TrimPrefix(request.URL.Path, "/status/"))
		if err != nil {
			status = http.StatusNotFound
		}
		response.WriteHeader(status)
	})
	http.HandleFunc("/echo", func(response http.ResponseWriter, request *http.Request) {
		io.Copy(response, request.Body)
	})
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Args[1], nil))
}
