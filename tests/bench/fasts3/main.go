// fasts3: an in-memory S3 stub for benchmarks, fast enough not to be what is measured.
//
// It speaks what a file system needs of S3 (objects, ranges, multipart uploads, copies, listings,
// conditions on writes) and injects latency: -lat 20ms, or GET /__lat?d=20ms while it runs.
// GET /__stats tells how many requests of each kind came since the last time.
// It checks no signature, no checksum and no policy: it says how fast a client is, never how right.
package main

import (
	"bytes"
	"crypto/tls"
	"encoding/xml"
	"flag"
	"fmt"
	"hash/maphash"
	"io"
	"log"
	"net/http"
	"net/url"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

type obj struct {
	ch     [][]byte
	size   int
	shared bool
	etag   string
	mt     time.Time
	md     map[string]string
	ct     string
}
type mpu struct {
	key   string
	md    map[string]string
	ct    string
	parts map[int][]byte
}

var (
	mu     sync.RWMutex
	objs   = map[string]*obj{} // bucket/key
	keys   []string            // sorted
	mpus   = map[string]*mpu{}
	ctr    int64
	lat    time.Duration
	bw     float64 // bytes/s per connection, 0=inf
	seed   = maphash.MakeSeed()
	stats  = map[string]int64{}
	statMu sync.Mutex
)

func insKey(k string) {
	i := sort.SearchStrings(keys, k)
	if i < len(keys) && keys[i] == k {
		return
	}
	keys = append(keys, "")
	copy(keys[i+1:], keys[i:])
	keys[i] = k
}
func delKey(k string) {
	i := sort.SearchStrings(keys, k)
	if i < len(keys) && keys[i] == k {
		keys = append(keys[:i], keys[i+1:]...)
	}
	release(objs[k])
	delete(objs, k)
}

var pool = map[int][][]byte{}
var poolMu sync.Mutex

func alloc(n int) []byte {
	if n >= 1<<20 {
		poolMu.Lock()
		if l := pool[n]; len(l) > 0 {
			b := l[len(l)-1]
			pool[n] = l[:len(l)-1]
			poolMu.Unlock()
			return b
		}
		poolMu.Unlock()
	}
	return make([]byte, n)
}
func release(o *obj) {
	if o == nil || o.shared {
		return
	}
	poolMu.Lock()
	for _, c := range o.ch {
		if len(c) >= 1<<20 {
			pool[len(c)] = append(pool[len(c)], c)
		}
	}
	poolMu.Unlock()
}
func mk(ch [][]byte) *obj {
	o := &obj{ch: ch, mt: time.Now()}
	for _, c := range ch {
		o.size += len(c)
	}
	var f []byte
	if len(ch) > 0 {
		f = ch[0]
	}
	n := len(ch)
	if n < 1 {
		n = 1
	}
	o.etag = etag(f, n)
	return o
}
func (o *obj) slices(s, e int, f func([]byte)) {
	off := 0
	for _, c := range o.ch {
		a, b := s-off, e-off
		if a < 0 {
			a = 0
		}
		if b > len(c) {
			b = len(c)
		}
		if a < b {
			f(c[a:b])
		}
		off += len(c)
		if off >= e {
			return
		}
	}
}

func etag(b []byte, n int) string {
	return fmt.Sprintf("\"%016x%016x-%d\"", maphash.Bytes(seed, b[:min(len(b), 65536)]), atomic.AddInt64(&ctr, 1), n)
}
func min(a, b int) int {
	if a < b {
		return a
	}
	return b
}
func body(r *http.Request) []byte {
	if strings.HasPrefix(r.Header.Get("x-amz-content-sha256"), "STREAMING-") {
		n, _ := strconv.Atoi(r.Header.Get("x-amz-decoded-content-length"))
		raw := io.Reader(r.Body)
		out := alloc(n)[:0]
		br := newLR(raw)
		for {
			l := br.line()
			if i := strings.IndexByte(l, ';'); i >= 0 {
				l = l[:i]
			}
			sz, err := strconv.ParseInt(strings.TrimSpace(l), 16, 64)
			if err != nil || sz == 0 {
				break
			}
			p := len(out)
			if cap(out) < p+int(sz) {
				o2 := make([]byte, p, (p+int(sz))*2)
				copy(o2, out)
				out = o2
			}
			out = out[:p+int(sz)]
			br.full(out[p:])
			br.line()
		}
		io.Copy(io.Discard, r.Body)
		return out
	}
	if r.ContentLength >= 0 {
		out := alloc(int(r.ContentLength))
		io.ReadFull(r.Body, out)
		return out
	}
	b, _ := io.ReadAll(r.Body)
	return b
}

type lr struct {
	r   io.Reader
	buf []byte
	p   int
}

func newLR(r io.Reader) *lr { return &lr{r: r} }
func (l *lr) fill() bool {
	b := make([]byte, 4096)
	n, _ := l.r.Read(b)
	if n == 0 {
		n, _ = l.r.Read(b)
	}
	l.buf = b[:n]
	l.p = 0
	return n > 0
}
func (l *lr) line() string {
	var s []byte
	for {
		if l.p >= len(l.buf) && !l.fill() {
			return string(s)
		}
		c := l.buf[l.p]
		l.p++
		if c == '\n' {
			return strings.TrimRight(string(s), "\r")
		}
		s = append(s, c)
	}
}
func (l *lr) full(o []byte) {
	n := copy(o, l.buf[l.p:])
	l.p += n
	if n < len(o) {
		io.ReadFull(l.r, o[n:])
	}
}
func meta(r *http.Request) map[string]string {
	m := map[string]string{}
	for k, v := range r.Header {
		if strings.HasPrefix(strings.ToLower(k), "x-amz-meta-") {
			m[strings.ToLower(k)] = v[0]
		}
	}
	return m
}
func fail(w http.ResponseWriter, code int, c string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(code)
	fmt.Fprintf(w, "<?xml version=\"1.0\"?><Error><Code>%s</Code><Message>%s</Message></Error>", c, c)
}
func xm(w http.ResponseWriter, s string) {
	w.Header().Set("Content-Type", "application/xml")
	s = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n" + s
	w.Header().Set("Content-Length", strconv.Itoa(len(s)))
	io.WriteString(w, s)
}
func esc(s string) string { var b bytes.Buffer; xml.EscapeText(&b, []byte(s)); return b.String() }

const ns = ` xmlns="http://s3.amazonaws.com/doc/2006-03-01/"`

func h(w http.ResponseWriter, r *http.Request) {
	if lat > 0 {
		time.Sleep(lat)
	}
	q := r.URL.Query()
	p := strings.TrimPrefix(r.URL.Path, "/")
	bkt, key := p, ""
	if i := strings.IndexByte(p, '/'); i >= 0 {
		bkt, key = p[:i], p[i+1:]
	}
	_, isup := q["uploads"]
	_, isdel := q["delete"]
	_, isuid := q["uploadId"]
	op := r.Method
	if key == "" && r.Method == "GET" {
		op = "LIST"
	}
	if isuid {
		op += "-part"
	}
	statMu.Lock()
	stats[op]++
	statMu.Unlock()
	if bkt == "__stats" {
		statMu.Lock()
		fmt.Fprintf(w, "%v\n", stats)
		stats = map[string]int64{}
		statMu.Unlock()
		return
	}
	if bkt == "__lat" {
		lat, _ = time.ParseDuration(q.Get("d"))
		return
	}
	w.Header().Set("x-amz-request-id", "1")
	full := bkt + "/" + key
	if key == "" {
		switch {
		case r.Method == "PUT" || r.Method == "HEAD":
			return
		case r.Method == "POST" && isdel:
			var d struct{ Object []struct{ Key string } }
			xml.Unmarshal(body(r), &d)
			var b strings.Builder
			b.WriteString("<DeleteResult" + ns + ">")
			mu.Lock()
			for _, o := range d.Object {
				delKey(bkt + "/" + o.Key)
				b.WriteString("<Deleted><Key>" + esc(o.Key) + "</Key></Deleted>")
			}
			mu.Unlock()
			b.WriteString("</DeleteResult>")
			xm(w, b.String())
			return
		case r.Method == "GET" && bkt == "":
			xm(w, "<ListAllMyBucketsResult"+ns+"><Buckets><Bucket><Name>bkt</Name><CreationDate>2026-01-01T00:00:00.000Z</CreationDate></Bucket></Buckets></ListAllMyBucketsResult>")
			return
		case r.Method == "GET":
			if _, ok := q["location"]; ok {
				xm(w, "<LocationConstraint"+ns+"></LocationConstraint>")
				return
			}
			if isup {
				xm(w, "<ListMultipartUploadsResult"+ns+"></ListMultipartUploadsResult>")
				return
			}
			list(w, q, bkt)
			return
		}
		fail(w, 400, "Bad")
		return
	}
	switch r.Method {
	case "HEAD", "GET":
		if isuid {
			mu.RLock()
			u := mpus[q.Get("uploadId")]
			var b strings.Builder
			if u != nil {
				for n := range u.parts {
					fmt.Fprintf(&b, "<Part><PartNumber>%d</PartNumber><ETag>x</ETag><Size>%d</Size></Part>", n, len(u.parts[n]))
				}
			}
			mu.RUnlock()
			xm(w, "<ListPartsResult"+ns+">"+b.String()+"</ListPartsResult>")
			return
		}
		mu.RLock()
		o := objs[full]
		mu.RUnlock()
		if o == nil {
			fail(w, 404, "NoSuchKey")
			return
		}
		if m := r.Header.Get("If-Match"); m != "" && strings.Trim(m, "\"") != strings.Trim(o.etag, "\"") {
			fail(w, 412, "PreconditionFailed")
			return
		}
		if m := r.Header.Get("If-None-Match"); m != "" && strings.Trim(m, "\"") == strings.Trim(o.etag, "\"") {
			w.WriteHeader(304)
			return
		}
		hd := w.Header()
		hd["ETag"] = []string{o.etag}
		hd.Set("Last-Modified", o.mt.UTC().Format(http.TimeFormat))
		hd.Set("Accept-Ranges", "bytes")
		hd.Set("Content-Type", o.ct)
		for k, v := range o.md {
			hd[k] = []string{v}
		}
		s, e, code := 0, o.size, 200
		if rg := r.Header.Get("Range"); strings.HasPrefix(rg, "bytes=") {
			x := strings.SplitN(rg[6:], "-", 2)
			if x[0] == "" {
				n, _ := strconv.Atoi(x[1])
				s = e - n
				if s < 0 {
					s = 0
				}
			} else {
				s, _ = strconv.Atoi(x[0])
				if x[1] != "" {
					e2, _ := strconv.Atoi(x[1])
					e = min(e, e2+1)
				}
			}
			if s >= o.size {
				fail(w, 416, "InvalidRange")
				return
			}
			code = 206
			hd.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", s, e-1, o.size))
		}
		hd.Set("Content-Length", strconv.Itoa(e-s))
		w.WriteHeader(code)
		if r.Method == "GET" {
			o.slices(s, e, func(b []byte) { w.Write(b) })
		}
	case "PUT":
		cs := r.Header.Get("x-amz-copy-source")
		if isuid {
			n, _ := strconv.Atoi(q.Get("partNumber"))
			mu.RLock()
			u := mpus[q.Get("uploadId")]
			mu.RUnlock()
			if u == nil {
				fail(w, 404, "NoSuchUpload")
				return
			}
			var d []byte
			if cs != "" {
				cs, _ = url.PathUnescape(strings.TrimPrefix(cs, "/"))
				mu.RLock()
				o := objs[cs]
				mu.RUnlock()
				if o == nil {
					fail(w, 404, "NoSuchKey")
					return
				}
				lo, hi := 0, o.size
				if rg := r.Header.Get("x-amz-copy-source-range"); rg != "" {
					x := strings.SplitN(rg[6:], "-", 2)
					lo, _ = strconv.Atoi(x[0])
					hi, _ = strconv.Atoi(x[1])
					hi++
				}
				if hi > o.size {
					fail(w, 400, "InvalidRange")
					return
				}
				d = make([]byte, 0, hi-lo)
				o.slices(lo, hi, func(b []byte) { d = append(d, b...) })
			} else {
				d = body(r)
			}
			et := etag(d, 1)
			mu.Lock()
			u.parts[n] = d
			mu.Unlock()
			w.Header()["ETag"] = []string{et}
			if cs != "" {
				xm(w, "<CopyPartResult"+ns+"><ETag>"+esc(et)+"</ETag><LastModified>2026-01-01T00:00:00.000Z</LastModified></CopyPartResult>")
			}
			return
		}
		var o *obj
		if cs != "" {
			cs, _ = url.PathUnescape(strings.TrimPrefix(cs, "/"))
			mu.RLock()
			s := objs[cs]
			mu.RUnlock()
			if s == nil {
				fail(w, 404, "NoSuchKey")
				return
			}
			s.shared = true
			o = mk(s.ch)
			o.shared = true
			o.md, o.ct = s.md, s.ct
			if r.Header.Get("x-amz-metadata-directive") == "REPLACE" {
				o.md = meta(r)
				o.ct = r.Header.Get("Content-Type")
			}
		} else {
			o = mk([][]byte{body(r)})
			o.md, o.ct = meta(r), r.Header.Get("Content-Type")
		}
		mu.Lock()
		if r.Header.Get("If-None-Match") == "*" && objs[full] != nil {
			mu.Unlock()
			fail(w, 412, "PreconditionFailed")
			return
		}
		if m := r.Header.Get("If-Match"); m != "" && (objs[full] == nil || strings.Trim(m, "\"") != strings.Trim(objs[full].etag, "\"")) {
			mu.Unlock()
			fail(w, 412, "PreconditionFailed")
			return
		}
		old := objs[full]
		objs[full] = o
		release(old)
		insKey(full)
		mu.Unlock()
		w.Header()["ETag"] = []string{o.etag}
		if cs != "" {
			xm(w, "<CopyObjectResult"+ns+"><ETag>"+esc(o.etag)+"</ETag><LastModified>"+o.mt.UTC().Format("2006-01-02T15:04:05.000Z")+"</LastModified></CopyObjectResult>")
		}
	case "POST":
		if isup {
			id := fmt.Sprintf("u%d", atomic.AddInt64(&ctr, 1))
			mu.Lock()
			mpus[id] = &mpu{full, meta(r), r.Header.Get("Content-Type"), map[int][]byte{}}
			mu.Unlock()
			xm(w, "<InitiateMultipartUploadResult"+ns+"><Bucket>"+bkt+"</Bucket><Key>"+esc(key)+"</Key><UploadId>"+id+"</UploadId></InitiateMultipartUploadResult>")
			return
		}
		mu.Lock()
		u := mpus[q.Get("uploadId")]
		delete(mpus, q.Get("uploadId"))
		mu.Unlock()
		io.Copy(io.Discard, r.Body)
		if u == nil {
			fail(w, 404, "NoSuchUpload")
			return
		}
		ns2 := make([]int, 0)
		for n := range u.parts {
			ns2 = append(ns2, n)
		}
		sort.Ints(ns2)
		ch := make([][]byte, 0, len(ns2))
		for _, n := range ns2 {
			ch = append(ch, u.parts[n])
		}
		o := mk(ch)
		o.md, o.ct = u.md, u.ct
		mu.Lock()
		old := objs[full]
		if r.Header.Get("If-None-Match") == "*" && old != nil {
			mu.Unlock()
			fail(w, 412, "PreconditionFailed")
			return
		}
		if m := r.Header.Get("If-Match"); m != "" && (old == nil || strings.Trim(m, "\"") != strings.Trim(old.etag, "\"")) {
			mu.Unlock()
			fail(w, 412, "PreconditionFailed")
			return
		}
		objs[full] = o
		release(old)
		insKey(full)
		mu.Unlock()
		xm(w, "<CompleteMultipartUploadResult"+ns+"><Location>x</Location><Bucket>"+bkt+"</Bucket><Key>"+esc(key)+"</Key><ETag>"+esc(o.etag)+"</ETag></CompleteMultipartUploadResult>")
	case "DELETE":
		mu.Lock()
		if isuid {
			delete(mpus, q.Get("uploadId"))
		} else {
			delKey(full)
		}
		mu.Unlock()
		w.WriteHeader(204)
	}
}
func list(w http.ResponseWriter, q url.Values, bkt string) {
	v2 := q.Get("list-type") == "2"
	pre, del := q.Get("prefix"), q.Get("delimiter")
	max := 1000
	if m := q.Get("max-keys"); m != "" {
		max, _ = strconv.Atoi(m)
	}
	after := q.Get("start-after")
	if v2 && q.Get("continuation-token") != "" {
		after = q.Get("continuation-token")
	}
	if !v2 {
		after = q.Get("marker")
	}
	enc := func(s string) string { return esc(s) }
	if q.Get("encoding-type") == "url" {
		enc = func(s string) string {
			return strings.ReplaceAll(strings.ReplaceAll(url.QueryEscape(s), "%2F", "/"), "+", "%20")
		}
	}
	var b, cpx strings.Builder
	n := 0
	trunc := false
	last := ""
	fp := bkt + "/" + pre
	mu.RLock()
	start := fp
	if a := bkt + "/" + after; after != "" && a >= fp {
		start = a
	}
	i := sort.SearchStrings(keys, start)
	for i < len(keys) && strings.HasPrefix(keys[i], fp) {
		k := keys[i][len(bkt)+1:]
		if after != "" && (k <= after || (del != "" && strings.HasSuffix(after, del) && strings.HasPrefix(k, after))) {
			i++
			continue
		}
		if n >= max {
			trunc = true
			break
		}
		if del != "" {
			if j := strings.Index(k[len(pre):], del); j >= 0 {
				cp := k[:len(pre)+j+len(del)]
				cpx.WriteString("<CommonPrefixes><Prefix>" + enc(cp) + "</Prefix></CommonPrefixes>")
				n++
				last = cp
				nx := bkt + "/" + cp[:len(cp)-1] + string(cp[len(cp)-1]+1)
				i = sort.SearchStrings(keys, nx)
				continue
			}
		}
		o := objs[keys[i]]
		fmt.Fprintf(&b, "<Contents><Key>%s</Key><LastModified>%s</LastModified><ETag>%s</ETag><Size>%d</Size><StorageClass>STANDARD</StorageClass></Contents>", enc(k), o.mt.UTC().Format("2006-01-02T15:04:05.000Z"), esc(o.etag), o.size)
		n++
		last = k
		i++
	}
	mu.RUnlock()
	s := "<ListBucketResult" + ns + "><Name>" + bkt + "</Name><Prefix>" + enc(pre) + "</Prefix>"
	if del != "" {
		s += "<Delimiter>" + enc(del) + "</Delimiter>"
	}
	if q.Get("encoding-type") == "url" {
		s += "<EncodingType>url</EncodingType>"
	}
	s += fmt.Sprintf("<MaxKeys>%d</MaxKeys><KeyCount>%d</KeyCount><IsTruncated>%v</IsTruncated>", max, n, trunc)
	if trunc {
		if v2 {
			s += "<NextContinuationToken>" + esc(last) + "</NextContinuationToken>"
		} else {
			s += "<NextMarker>" + enc(last) + "</NextMarker>"
		}
	}
	xm(w, s+b.String()+cpx.String()+"</ListBucketResult>")
}
func main() {
	a := flag.String("addr", "127.0.0.1:8340", "")
	flag.DurationVar(&lat, "lat", 0, "latency per request")
	cert := flag.String("cert", "", "PEM cert (enables TLS)")
	key := flag.String("key", "", "PEM key")
	flag.Parse()
	if *cert != "" {
		srv := &http.Server{Addr: *a, Handler: http.HandlerFunc(h), TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){}}
		log.Fatal(srv.ListenAndServeTLS(*cert, *key))
	}
	log.Fatal(http.ListenAndServe(*a, http.HandlerFunc(h)))
}
