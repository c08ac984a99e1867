;; Fills a table again and again: each round is a single instruction.
(component
  (core module $code
    (table 90000 funcref)
    (func (export "fill")
      (loop $again
        (table.fill (i32.const 0) (ref.null func) (i32.const 90000))
        (br $again))))
  (core instance $code (instantiate $code))
  (func (export "fill") (canon lift (core func $code "fill"))))
