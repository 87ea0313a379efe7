"""From files and boxes to batches of crops on a device.

Others take from `affine`, `augment`, `coco_files`, `crop_cache`, `crops`, `decoding`, `detections`, `headers`,
`image`, `image_files`, `json_files`, `kept_images`, `silhouettes`; the rest is the room's own.
"""
