;; Imports something by an address, as if the server would fetch it.
(component
  (import "url=<https://evil.example/x.wasm>" (func $fetched (result u32)))
  (core func $fetched (canon lower (func $fetched)))
  (core module $code
    (import "host" "fetched" (func $fetched (result i32)))
    (func (export "one") (result i32) (call $fetched)))
  (core instance $code (instantiate $code (with "host" (instance (export "fetched" (func $fetched))))))
  (func (export "one") (result u32) (canon lift (core func $code "one"))))
