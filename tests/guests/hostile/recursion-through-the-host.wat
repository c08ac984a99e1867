;; Asks the host for something whose answer needs room, and asks again while making that room: guest, host, guest,
;; host. The second question must not be answered.
(component
  (import "wasi:cli/environment@0.2.0" (instance $environment
    (export "get-arguments" (func (result (list string))))))
  (core module $memory
    (memory (export "memory") 1)
    (table (export "later") 1 1 funcref)
    (type $ask (func (param i32)))
    (global $depth (mut i32) (i32.const 0))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (call_indirect (type $ask) (i32.const 64) (i32.const 0))
      (i32.const 1024)))
  (core instance $memory (instantiate $memory))
  (core func $ask
    (canon lower (func $environment "get-arguments") (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))
  (core module $code
    (import "memory" "later" (table 1 1 funcref))
    (import "host" "ask" (func $ask (param i32)))
    (elem (i32.const 0) $ask)
    (func (export "length") (param i32 i32) (result i32) (local.get 1)))
  (core instance $code (instantiate $code
    (with "memory" (instance $memory))
    (with "host" (instance (export "ask" (func $ask))))))
  (func (export "length") (param "text" string) (result u32)
    (canon lift (core func $code "length") (memory (core memory $memory "memory")) (realloc (core func $memory "realloc")))))
