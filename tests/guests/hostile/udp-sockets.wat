;; Makes a UDP socket. Answers with 0 if it got one, otherwise with one more than the number of the error.
(component
  (import "wasi:sockets/network@0.2.0" (instance $network
    (type $codes (enum "unknown" "access-denied" "not-supported" "invalid-argument" "out-of-memory" "timeout"
      "concurrency-conflict" "not-in-progress" "would-block" "invalid-state" "new-socket-limit"
      "address-not-bindable" "address-in-use" "remote-unreachable" "connection-refused" "connection-reset"
      "connection-aborted" "datagram-too-large" "name-unresolvable" "temporary-resolver-failure"
      "permanent-resolver-failure"))
    (export "error-code" (type (eq $codes)))
    (type $families (enum "ipv4" "ipv6"))
    (export "ip-address-family" (type (eq $families)))))
  (alias export $network "error-code" (type $error-code))
  (alias export $network "ip-address-family" (type $family))
  (import "wasi:sockets/udp@0.2.0" (instance $udp (export "udp-socket" (type $socket (sub resource)))))
  (alias export $udp "udp-socket" (type $socket))
  (import "wasi:sockets/udp-create-socket@0.2.0" (instance $create
    (export "create-udp-socket"
      (func (param "address-family" $family) (result (result (own $socket) (error $error-code)))))))
  (core module $memory (memory (export "memory") 1))
  (core instance $memory (instantiate $memory))
  (core func $make (canon lower (func $create "create-udp-socket") (memory (core memory $memory "memory"))))
  (core module $code
    (import "memory" "memory" (memory 1))
    (import "host" "make" (func $make (param i32 i32)))
    (func (export "make") (param i32) (result i32)
      (call $make (local.get 0) (i32.const 1024))
      (if (result i32) (i32.load8_u (i32.const 1024))
        (then (i32.add (i32.const 1) (i32.load8_u (i32.const 1028))))
        (else (i32.const 0)))))
  (core instance $code (instantiate $code
    (with "memory" (instance $memory))
    (with "host" (instance (export "make" (func $make))))))
  (func (export "make") (param "family" u32) (result u32) (canon lift (core func $code "make"))))
