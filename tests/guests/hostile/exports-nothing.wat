;; expect: EINVAL no ABI: nothing is exported
;; abi: none
;; phase: load
(module)
