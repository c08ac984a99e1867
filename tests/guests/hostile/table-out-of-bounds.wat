;; Calls a function beyond the end of a table, and fills a table beyond its end.
(component
  (core module $code
    (type $nothing (func))
    (table 1 funcref)
    (func (export "call") (call_indirect (type $nothing) (i32.const 4000000)))
    (func (export "fill") (table.fill (i32.const 0) (ref.null func) (i32.const 2))))
  (core instance $code (instantiate $code))
  (func (export "call") (canon lift (core func $code "call")))
  (func (export "fill") (canon lift (core func $code "fill"))))
