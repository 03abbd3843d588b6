"""An MP4 on disk: is it whole, what does it show, how is one made?"""
