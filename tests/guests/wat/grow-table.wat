;; Grows a table by what it is asked for.
;; `grow` must return the old size while the limit allows, and beyond it -1 or be stopped for memory.
(component
  (core module $code
    (table $elements 1 funcref)
    (func (export "grow") (param i32) (result i32)
      (table.grow $elements (ref.null func) (local.get 0))))
  (core instance $code (instantiate $code))
  (func (export "grow") (param "elements" u32) (result s32)
    (canon lift (core func $code "grow"))))
